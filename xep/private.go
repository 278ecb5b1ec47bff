package xep

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"roost/jid"
	"roost/parser"
	"roost/router"
	"roost/stanza"
	"roost/store"
)

const nsPrivate = "jabber:iq:private"

// private keeps XML that clients want to find again, unread (XEP-0049). Each
// account has a number of values, by the name of their root element.
func private(cfg Config) router.Extension {
	p := &privateStorage{size: cfg.PrivateSize, count: cfg.PrivateCount}
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

// privateStorage has the limits of one account: bytes of a value, and values.
type privateStorage struct{ size, count int }

// privateIndex is the key under which the names of an account's values are
// kept, one a line. No value has it: an element's name is not empty. Two
// clients that write at the same moment may lose a name from it: the value is
// there all the same, and counted when it is written next.
const privateIndex = ""

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

// set keeps values. All of them are checked before the first is written.
func (p *privateStorage) set(rq *router.Request) {
	keys, reply := p.names(rq.Payload())
	if reply != nil {
		rq.Error(reply)
		return
	}
	w := privateWriter{rq: rq, owner: rq.Account(), limit: p.count}
	err := w.addNames(keys)
	el := rq.Payload().First()
	for i := 0; err == nil && i < len(keys); i++ {
		err = w.put(keys[i], el)
		el = el.Next()
	}
	if err == nil {
		err = w.removeNames()
	}
	switch {
	case errors.Is(err, store.ErrQuota):
		rq.Error(errNoRoom)
	case err != nil:
		rq.Error(err)
	default:
		rq.Empty()
	}
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

// privateWriter is one set on its way into the store.
type privateWriter struct {
	rq    *router.Request
	owner jid.JID
	limit int
	names [][]byte // in the index
	gone  [][]byte // names whose values were deleted
}

func (w *privateWriter) blob(key string) ([]byte, error) {
	return w.rq.Router.Store().Blob(w.rq.Router.Context(), w.owner, nsPrivate, key)
}

func (w *privateWriter) putBlob(key string, value []byte) error {
	return w.rq.Router.Store().PutBlob(w.rq.Router.Context(), w.owner, nsPrivate, key, value)
}

// addNames puts new names in the index before their values are there: what is
// not in the index would not be counted.
func (w *privateWriter) addNames(keys []string) error {
	index, err := w.blob(privateIndex)
	if err != nil {
		return err
	}
	if len(index) > 0 {
		w.names = bytes.Split(index, []byte{'\n'})
	}
	before := len(w.names)
	for _, key := range keys {
		if !containsName(w.names, []byte(key)) {
			w.names = append(w.names, []byte(key))
		}
	}
	switch {
	case len(w.names) == before:
		return nil
	case len(w.names) > w.limit:
		return store.ErrQuota
	}
	return w.putBlob(privateIndex, bytes.Join(w.names, []byte{'\n'}))
}

// put keeps one value. An empty element is as good as none: it is what a get
// answers then.
func (w *privateWriter) put(key string, el parser.Element) error {
	if !el.First().OK() && len(el.AppendText(nil)) == 0 && !hasAttributes(el) {
		w.gone = append(w.gone, []byte(key))
		return w.putBlob(key, nil)
	}
	return w.putBlob(key, el.AppendXML(nil))
}

// removeNames takes the names of deleted values out of the index.
func (w *privateWriter) removeNames() error {
	if len(w.gone) == 0 {
		return nil
	}
	var left [][]byte
	for _, name := range w.names {
		if !containsName(w.gone, name) {
			left = append(left, name)
		}
	}
	if len(left) == 0 {
		return w.putBlob(privateIndex, nil)
	}
	return w.putBlob(privateIndex, bytes.Join(left, []byte{'\n'}))
}

func containsName(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}

func hasAttributes(el parser.Element) bool {
	found := false
	el.EachAttr(func(_, _, _ []byte, isNS bool) { found = found || !isNS })
	return found
}
