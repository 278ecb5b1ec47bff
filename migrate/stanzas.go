package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// maxRequest is the size of the largest stanza of a subscription request that is kept, as in
// package router. Of others, only the addresses are.
const maxRequest = 4 << 10

// Message adds a stored message. Its time is that of the delay stamp that this account's
// server has added, which is removed; or else of another delay stamp, which stays; or else
// received.
func (b *Builder) Message(at string, x XML, received time.Time) { b.message(at, x, received, true) }

// message is Message, for a stanza that may be stamped or not.
func (b *Builder) message(at string, x XML, received time.Time, stamped bool) {
	tape, err := b.Parse(x)
	var st stanza.Stanza
	if err == nil {
		err = stanza.Read(tape, &st)
	}
	if err == nil && st.Kind != stanza.Message {
		err = fmt.Errorf("it is an element %s", clip(string(st.Root.Local())))
	}
	if err != nil {
		b.Skip(at, "stored message: %v", err)
		return
	}
	from, err := jid.ParseBytes(st.Root.Attr("from"))
	if err != nil {
		b.Skip(at, "stored message: it has no valid sender")
		return
	}
	from = from.Clone()
	if stamped {
		received = b.takeDelay(&st, received)
	}
	edit := stanza.Edit{From: from.String()}
	if !st.HasTo {
		edit.To = b.JID.String()
	}
	text := forwarded(&st, edit)
	if b.fits(at, len(text)) {
		b.Messages = append(b.Messages, store.NewMessage{From: from, Stanza: text, Received: received.UTC().Truncate(time.Millisecond)})
	}
}

// forwarded returns a stanza as the server stores it. One that is in this form already stays
// the same.
func forwarded(st *stanza.Stanza, e stanza.Edit) []byte {
	root := st.Root
	same := string(root.Attr("from")) == e.From && (e.To == "" || string(root.Attr("to")) == e.To)
	inherits := len(st.Tape.InheritedLang()) > 0
	st.Tape.Inherited(func(_, _ []byte) { inherits = true })
	if same && !inherits && root.DeclaredDefault() == nil && st.Tape.Canonical() && !st.Omits() {
		return bytes.Clone(root.Raw())
	}
	return stanza.AppendForward(nil, st, e)
}

// takeDelay returns the time of the last delay stamp that this account's server has added,
// and omits it from the stanza; or else of the first other one; or else received.
func (b *Builder) takeDelay(st *stanza.Stanza, received time.Time) time.Time {
	var ours parser.Element
	others := false
	for el := st.Root.First(); el.OK(); el = el.Next() {
		when, ok := delayOf(el)
		switch {
		case !ok:
		case string(el.Attr("from")) == b.JID.Domain():
			ours, received = el, when
		case !ours.OK() && !others:
			others, received = true, when
		}
	}
	if ours.OK() {
		st.Omit(ours)
	}
	return received
}

// delayOf returns the time of a delay stamp (XEP-0203, or XEP-0091 before it).
func delayOf(el parser.Element) (time.Time, bool) {
	layouts := []string{time.RFC3339Nano}
	switch {
	case el.Is("jabber:x:delay", "x"):
		layouts = []string{"20060102T15:04:05", time.RFC3339Nano}
	case !el.Is(stanza.NSDelay, "delay"):
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(el.Attr("stamp"))); err == nil && inRange(t) {
			return t, true
		}
	}
	return time.Time{}, false
}

// inRange reports whether a time can be written in a delay stamp.
func inRange(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

// Request adds a subscription request. Its time is found as for Message.
func (b *Builder) Request(at string, x XML, received time.Time) { b.requestOf(at, x, received, true) }

func (b *Builder) requestOf(at string, x XML, received time.Time, stamped bool) {
	tape, err := b.Parse(x)
	var st stanza.Stanza
	if err == nil {
		err = stanza.Read(tape, &st)
	}
	if err == nil && st.Type != stanza.Subscribe {
		err = errors.New("it is not presence of type subscribe")
	}
	if err != nil {
		b.Skip(at, "subscription request: %v", err)
		return
	}
	from, err := jid.ParseBytes(st.Root.Attr("from"))
	if err != nil {
		b.Skip(at, "subscription request: it has no valid sender")
		return
	}
	from = from.Bare().Clone()
	if stamped {
		received = b.takeDelay(&st, received)
	}
	text := forwarded(&st, stanza.Edit{From: from.String(), To: b.JID.String()})
	if len(text) > maxRequest {
		text = b.emptyRequest(from)
	}
	b.request(at, store.Request{From: from, Stanza: text, Received: received})
}

// RequestFrom adds a subscription request of which only the sender is known.
func (b *Builder) RequestFrom(at, address string, received time.Time) {
	from, err := jid.Parse(address)
	if err != nil {
		b.Skip(at, "subscription request of %q: not an address", clip(address))
		return
	}
	from = from.Bare().Clone()
	b.request(at, store.Request{From: from, Stanza: b.emptyRequest(from), Received: received})
}

func (b *Builder) emptyRequest(from jid.JID) []byte {
	return stanza.Head{Kind: stanza.Presence, Type: stanza.Subscribe, From: from.String(), To: b.JID.String()}.AppendEmpty(nil)
}

func (b *Builder) request(at string, r store.Request) {
	r.Received = r.Received.UTC().Truncate(time.Second)
	if !b.again(at, "subscription request of", r.From.String()) && b.fits(at, len(r.Stanza)) {
		b.Requests = append(b.Requests, r)
	}
}

// VCard adds the vCard (XEP-0054).
func (b *Builder) VCard(at string, x XML) {
	tape, err := b.Parse(x)
	if err != nil {
		b.Skip(at, "vCard: %v", err)
		return
	}
	if root := tape.Root(); root.Is(VCardKind, "vCard") {
		b.blob(at, "vCard", VCardKind, "", root.AppendXML(nil))
		return
	}
	b.Skip(at, "vCard: the element is another one")
}

// Private adds an element of private storage (XEP-0049).
func (b *Builder) Private(at string, x XML) {
	tape, err := b.Parse(x)
	if err != nil {
		b.Skip(at, "private storage: %v", err)
		return
	}
	root := tape.Root()
	switch string(root.Space()) {
	case "", PrivateKind, stanza.NSClient:
		b.Skip(at, "private storage: the element %s has no namespace of its own", clip(string(root.Local())))
		return
	}
	key := fmt.Sprintf("{%s}%s", root.Space(), root.Local())
	if len(key) > maxKey || !isText(key) || slices.Contains([]byte(key), '\n') {
		b.Skip(at, "private storage: the name of an element is too long, or has a line break")
		return
	}
	b.blob(at, "private storage", PrivateKind, key, root.AppendXML(nil))
}
