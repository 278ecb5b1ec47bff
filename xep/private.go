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

// private keeps XML that clients want to find again, unread (XEP-0049). Each
// account has a number of values, by the name of their root element.
func private(cfg Config) router.Extension {
	p := &privateStorage{size: cfg.PrivateSize, count: cfg.PrivateCount, bytes: cfg.PrivateBytes}
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
				// "If a user attempts to get or set jabber:iq:private data that
				// belongs to another user, the server MUST return a
				// "Forbidden" or "Service Unavailable" error".
				rq.Error(stanza.Forbidden)
			}),
		},
	}
}

// privateStorage has the limits of one account: bytes of one value, values, and
// bytes of all values together.
type privateStorage struct{ size, count, bytes int }

// maxPrivateKey is the longest name of a value, in bytes.
const maxPrivateKey = 1023

// privateKey is the name of a value: "At least one child element with a proper
// namespace MUST be included; otherwise the server MUST respond with a "Not
// Acceptable" error".
func privateKey(el parser.Element) (string, *stanza.ErrorReply) {
	if !el.OK() {
		return "", stanza.NotAcceptable.WithText("An element is missing.")
	}
	switch string(el.Space()) {
	case "", nsPrivate, stanza.NSClient:
		return "", stanza.NotAcceptable.WithText("The element has no namespace of its own.")
	}
	key := fmt.Sprintf("{%s}%s", el.Space(), el.Local())
	if len(key) > maxPrivateKey || strings.Contains(key, "\n") {
		return "", stanza.NotAcceptable.WithText("The element's name is not fit for a key.")
	}
	return key, nil
}

// get answers with one value, or with the element as it was asked for where
// there is none.
func (p *privateStorage) get(rq *router.Request) {
	el := rq.Payload().First()
	key, reply := privateKey(el)
	switch {
	case reply != nil:
		rq.Error(reply)
		return
	case el.Next().OK():
		// "A client MUST NOT query for more than one namespace in a single IQ
		// get request."
		rq.Error(stanza.BadRequest.WithText("One element at a time."))
		return
	}
	value, err := rq.Router.Store().Blob(rq.Router.Context(), rq.Account(), nsPrivate, key)
	if err == nil {
		_, err = rq.Router.OwnAccount(rq.Session) // last, so that the value is this account's
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

var errNoRoom = stanza.ResourceConstraint.WithText("There is no room for more values.")

// set keeps values. All of them are checked before the first is written, and
// the store counts what is there in the transaction that writes them.
func (p *privateStorage) set(rq *router.Request) {
	keys, reply := p.names(rq.Payload())
	if reply != nil {
		rq.Error(reply)
		return
	}
	set := store.BlobSet{
		Owner: rq.Account(), Generation: rq.Generation, Kind: nsPrivate,
		Quota: store.BlobQuota{Values: p.count, Bytes: int64(p.bytes)},
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
		rq.Error(errNoRoom)
	case err != nil:
		rq.Error(err)
	default:
		rq.Empty()
	}
}

// privateValues returns the n values of a set in their order. They are made before
// the transaction begins, so that it is short.
func privateValues(query parser.Element, n int) [][]byte {
	values := make([][]byte, 0, n)
	for el := query.First(); len(values) < n; el = el.Next() {
		values = append(values, privateValue(el))
	}
	return values
}

// putPrivate sets a value, or deletes it if it is nil.
func putPrivate(tx store.BlobTx, key string, value []byte) error {
	if value == nil {
		return tx.Delete(key)
	}
	return tx.Put(key, value)
}

// privateValue is what is kept of an element: nothing of an empty one, which is
// what a get returns for a value that does not exist.
func privateValue(el parser.Element) []byte {
	if !el.First().OK() && len(el.AppendText(nil)) == 0 && !hasAttributes(el) {
		return nil
	}
	return el.AppendXML(nil)
}

// names are those of the values of a set, in their order.
func (p *privateStorage) names(query parser.Element) (keys []string, reply *stanza.ErrorReply) {
	for el := query.First(); el.OK() || keys == nil; el = el.Next() {
		if len(keys) == p.count {
			return nil, errNoRoom // before each is compared with all others
		}
		key, reply := privateKey(el)
		if reply != nil {
			return nil, reply
		}
		if len(el.Raw()) > p.size {
			return nil, stanza.NotAcceptable.WithText("The element is too large.")
		}
		if slices.Contains(keys, key) {
			return nil, stanza.NotAcceptable.WithText("The same element twice.")
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
