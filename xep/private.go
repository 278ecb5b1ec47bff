package xep

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"roost/parser"
	"roost/router"
	"roost/stanza"
	"roost/store"
)

const nsPrivate = "jabber:iq:private"

// private stores XML for clients without interpreting it (XEP-0049). Each account has a
// number of values, identified by the names of their root elements.
func private(x *Set) router.Extension {
	p := &privateStorage{x}
	iq := func(m router.Methods, to router.Targets, blocking bool, handle func(*router.Request)) router.IQ {
		return router.IQ{Space: nsPrivate, Local: "query", Methods: m, Targets: to, Blocking: blocking, Handle: handle}
	}
	return router.Extension{
		Name:    "private",
		XEP:     49,
		Version: "1.2",
		Title:   "Private XML Storage",
		Domain:  []string{nsPrivate},
		IQ: []router.IQ{
			iq(router.Get, router.ToSelf, true, p.get),
			iq(router.Set, router.ToSelf, true, p.set),
			iq(router.Get|router.Set, router.ToAccount, false, func(rq *router.Request) {
				// "If a user attempts to get or set jabber:iq:private data that belongs to
				// another user, the server MUST return a "Forbidden" or "Service
				// Unavailable" error" (https://xmpp.org/extensions/xep-0049.html).
				rq.Error(stanza.Forbidden)
			}),
		},
	}
}

// privateStorage handles requests, within the limits of the configuration.
type privateStorage struct{ x *Set }

// maxPrivateKey is the length of the longest key, in bytes.
const maxPrivateKey = 1023

// privateKey returns the key of a value: its namespace and local name. "At least one child
// element with a proper namespace MUST be included; otherwise the server MUST respond with
// a "Not Acceptable" error" (https://xmpp.org/extensions/xep-0049.html).
func privateKey(el parser.Element) (string, *stanza.ErrorReply) {
	if !el.OK() {
		return "", stanza.NotAcceptable.WithText("The query must contain an element.")
	}
	switch string(el.Space()) {
	case "", nsPrivate, stanza.NSClient:
		return "", stanza.NotAcceptable.WithText("The element must have a namespace of its own.")
	}
	key := fmt.Sprintf("{%s}%s", el.Space(), el.Local())
	if len(key) > maxPrivateKey || strings.Contains(key, "\n") {
		return "", stanza.NotAcceptable.WithText("The element's name and namespace are too long or contain a line break.")
	}
	return key, nil
}

// get returns one value, or the element as it was requested if there is no value.
func (p *privateStorage) get(rq *router.Request) {
	el := rq.Payload().First()
	key, reply := privateKey(el)
	switch {
	case reply != nil:
		rq.Error(reply)
		return
	case el.Next().OK():
		// "A client MUST NOT query for more than one namespace in a single IQ get request"
		// (https://xmpp.org/extensions/xep-0049.html).
		rq.Error(stanza.BadRequest.WithText("Request one element at a time."))
		return
	}
	value, err := rq.Router.Store().Blob(rq.Router.Context(), rq.Account(), nsPrivate, key)
	if err == nil {
		_, err = rq.Router.OwnAccount(rq.Session) // last, so that the value is known to be this account's
	}
	if err != nil {
		rq.Error(err)
		return
	}
	rq.Result(func(b []byte) []byte {
		b = append(b, "<query xmlns='"+nsPrivate+"'>"...)
		if value == nil {
			b = el.AppendXML(b)
		}
		b = append(b, value...)
		return append(b, "</query>"...)
	})
}

var errPrivateFull = stanza.ResourceConstraint.WithText("Private storage is full.")

// set stores values. It validates all of them before it writes the first, and the store
// counts the existing ones in the transaction that writes them.
func (p *privateStorage) set(rq *router.Request) {
	limits := p.x.config()
	keys, reply := privateNames(rq.Payload(), limits)
	if reply != nil {
		rq.Error(reply)
		return
	}
	set := store.BlobSet{
		Owner: rq.Account(), Generation: rq.Generation, Kind: nsPrivate,
		Quota: store.BlobQuota{Values: limits.PrivateCount, Bytes: int64(limits.PrivateBytes)},
	}
	values := privateValues(rq.Payload(), len(keys))
	err := rq.Router.Store().UpdateBlobs(rq.Router.Context(), set, func(tx store.BlobTx) error {
		for i, key := range keys {
			if err := putPrivate(tx, key, values[i]); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, store.ErrQuota):
		rq.Error(errPrivateFull)
	case err != nil:
		rq.Error(err)
	default:
		rq.Empty()
	}
}

// privateValues returns the n values of a set in order. They are built before the
// transaction begins, to keep it short.
func privateValues(query parser.Element, n int) [][]byte {
	values := make([][]byte, 0, n)
	for el := query.First(); len(values) < n; el = el.Next() {
		values = append(values, privateValue(el))
	}
	return values
}

// putPrivate sets a value, or deletes it if value is nil.
func putPrivate(tx store.BlobTx, key string, value []byte) error {
	if value == nil {
		return tx.Delete(key)
	}
	return tx.Put(key, value)
}

// privateValue returns what is stored for an element: nothing if it is empty, because that
// is what a get returns for a value that does not exist.
func privateValue(el parser.Element) []byte {
	if !el.First().OK() && len(el.AppendText(nil)) == 0 && !hasAttributes(el) {
		return nil
	}
	return el.AppendXML(nil)
}

// privateNames returns the keys of the values of a set, in order.
func privateNames(query parser.Element, limits *Config) (keys []string, reply *stanza.ErrorReply) {
	for el := query.First(); el.OK() || keys == nil; el = el.Next() {
		if len(keys) == limits.PrivateCount {
			return nil, errPrivateFull // before comparing each with all others
		}
		key, reply := privateKey(el)
		if reply != nil {
			return nil, reply
		}
		if len(el.Raw()) > limits.PrivateSize {
			return nil, stanza.NotAcceptable.WithText("The element is too large.")
		}
		if slices.Contains(keys, key) {
			return nil, stanza.NotAcceptable.WithText("The same element occurs twice.")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func hasAttributes(el parser.Element) bool {
	found := false
	el.EachAttr(func(_, _, _ []byte, isNS bool) { found = found || !isNS })
	return found
}
