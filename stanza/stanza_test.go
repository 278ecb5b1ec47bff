package stanza

import (
	"errors"
	"testing"

	"roost/parser"
)

const header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:p='urn:p'>"

// parse parses one stanza, which is borrowed until the next call.
func parse(t testing.TB, header, text string) *parser.Tape {
	t.Helper()
	var p parser.Parser
	s := parser.NewScratch(parser.Limits{})
	if ev, n, err := p.Next(s, []byte(header)); err != nil || ev != parser.StreamOpen || n != len(header) {
		t.Fatalf("the header: %v, %v", ev, err)
	}
	if ev, n, err := p.Next(s, []byte(text)); err != nil || ev != parser.Stanza || n != len(text) {
		t.Fatalf("%s: %v, %d bytes, %v", text, ev, n, err)
	}
	return s.Tape()
}

func TestRead(t *testing.T) {
	f := func(text string, kind Kind, typ Type, id, to string, want error) {
		t.Helper()
		var st Stanza
		err := Read(parse(t, header, text), &st)
		var reply *ErrorReply
		if wanted, ok := want.(*ErrorReply); ok && errors.As(err, &reply) && reply == wanted {
			err, want = nil, nil
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		if st.Kind != kind || kind != 0 && (st.Type != typ || string(st.ID) != id || st.To.String() != to) {
			t.Errorf("%s: %v %v id=%q to=%q", text, st.Kind, st.Type, st.ID, st.To.String())
		}
	}
	// RFC 6121 section 5.2.2: a message of an unknown type is 'normal'.
	f("<message/>", Message, Normal, "", "", nil)
	f("<message type=''/>", Message, Normal, "", "", nil)
	f("<message type='Chat'/>", Message, Normal, "", "", nil)
	f("<message type='chat' id='1' to='a@B/c'/>", Message, Chat, "1", "a@b/c", nil)
	f("<message type='headline'/>", Message, Headline, "", "", nil)
	f("<message type='groupchat'/>", Message, Groupchat, "", "", nil)
	f("<message type='error'/>", Message, Error, "", "", nil)
	f("<message type='normal'/>", Message, Normal, "", "", nil)
	f("<p:message/>", 0, 0, "", "", ErrUnsupported)
	f("<message xmlns='jabber:server'/>", 0, 0, "", "", ErrUnsupported)
	f("<x:message xmlns:x='jabber:client' type='c&#104;at'/>", Message, Chat, "", "", nil)
	f("<Message/>", 0, 0, "", "", ErrUnsupported)
	// RFC 6121 section 4.7.1: presence of an unknown type is an error, which the router
	// sends.
	f("<presence/>", Presence, Available, "", "", nil)
	f("<presence type='unavailable'/>", Presence, Unavailable, "", "", nil)
	f("<presence type='subscribe' to='a@b'/>", Presence, Subscribe, "", "a@b", nil)
	f("<presence type='subscribed'/>", Presence, Subscribed, "", "", nil)
	f("<presence type='unsubscribe'/>", Presence, Unsubscribe, "", "", nil)
	f("<presence type='unsubscribed'/>", Presence, Unsubscribed, "", "", nil)
	f("<presence type='probe'/>", Presence, Probe, "", "", nil)
	f("<presence type='error'/>", Presence, Error, "", "", nil)
	f("<presence type=''/>", Presence, UnknownType, "", "", nil)
	f("<presence type='available'/>", Presence, UnknownType, "", "", nil)
	f("<presence type='get'/>", Presence, UnknownType, "", "", nil)
	// RFC 6120 section 8.2.3.
	f("<iq type='get' id='1'><q xmlns='u'/></iq>", IQ, Get, "1", "", nil)
	f("<iq type='set' id=''><q xmlns='u'/></iq>", IQ, Set, "", "", nil)
	f("<iq type='result' id='1'/>", IQ, Result, "1", "", nil)
	f("<iq type='error' id='1'/>", IQ, Error, "1", "", nil)
	f("<iq type='get'><q xmlns='u'/></iq>", IQ, Get, "", "", BadRequest)
	f("<iq id='1'><q xmlns='u'/></iq>", IQ, UnknownType, "1", "", BadRequest)
	f("<iq type='chat' id='1'><q xmlns='u'/></iq>", IQ, UnknownType, "1", "", BadRequest)
	f("<iq type='get' id='1'/>", IQ, Get, "1", "", BadRequest)
	f("<iq type='set' id='1'>text</iq>", IQ, Set, "1", "", BadRequest)
	f("<iq type='get' id='1'><a/><b/></iq>", IQ, Get, "1", "", BadRequest)
	f("<iq type='get' id='1' to='@'><q xmlns='u'/></iq>", IQ, Get, "1", "", JIDMalformed)
	f("<message to=''/>", Message, Normal, "", "", JIDMalformed)
	f("<presence to='a@b/'/>", Presence, Available, "", "", JIDMalformed)
}

// TestNames: reading a stanza that was written yields the same kind and type.
func TestNames(t *testing.T) {
	for typ := Normal; typ < UnknownType; typ++ {
		kind := Message
		switch {
		case typ >= Get:
			kind = IQ
		case typ >= Available:
			kind = Presence
		}
		h := Head{Kind: kind, Type: typ, ID: "i"}
		var st Stanza
		if err := Read(parse(t, header, string(h.AppendStart(nil))+"<q xmlns='u'/></"+kind.String()+">"), &st); err != nil || st.Type != typ || st.Kind != kind {
			t.Errorf("%s: %v %v, %v", h.AppendEmpty(nil), st.Kind, st.Type, err)
		}
		if got, want := typ.IsSubscription(), typ >= Subscribe && typ <= Unsubscribed; got != want {
			t.Errorf("%v is a subscription: %v", typ, got)
		}
		if got, want := typ.IsRequest(), typ == Get || typ == Set; got != want {
			t.Errorf("%v is a request: %v", typ, got)
		}
	}
}

func TestView(t *testing.T) {
	var st Stanza
	if err := Read(parse(t, header, "<iq type='get' id='1' xml:lang='de'><p:q a='1'/></iq>"), &st); err != nil {
		t.Fatal(err)
	}
	if !st.Payload().Is("urn:p", "q") || string(st.Lang()) != "de" || st.HasTo {
		t.Errorf("payload %s, lang %s, has to: %v", st.Payload().Raw(), st.Lang(), st.HasTo)
	}
}

// TestErrors: RFC 6120 section 8.3.1: addresses are swapped, the id is echoed, and the
// condition has its type and namespace.
func TestErrors(t *testing.T) {
	f := func(text, sender string, e *ErrorReply, want string) {
		t.Helper()
		var st Stanza
		_ = Read(parse(t, header, text), &st)
		if got := string(AppendError([]byte("-"), &st, sender, e)); got != "-"+want {
			t.Errorf("%s\ngets the reply %s\nwant          %s", text, got[1:], want)
		}
	}
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
	f("<iq type='get' id='a&amp;&apos;b' to='J@x'><q xmlns='u'/></iq>", "r@x/1", ServiceUnavailable,
		"<iq type='error' id='a&amp;&apos;b' from='J@x' to='r@x/1'><error type='cancel'><service-unavailable"+ns+"/></error></iq>")
	f("<message/>", "", BadRequest, "<message type='error'><error type='modify'><bad-request"+ns+"/></error></message>")
	f("<presence id=''/>", "r@x/<'", Forbidden.WithText("a < b"),
		"<presence type='error' id='' to='r@x/&lt;&apos;'><error type='auth'><forbidden"+ns+"/><text"+ns+" xml:lang='en'>a &lt; b</text></error></presence>")
	extra := *NotAcceptable
	extra.Extra = "<x xmlns='u'/>"
	f("<message/>", "", &extra, "<message type='error'><error type='modify'><not-acceptable"+ns+"/><x xmlns='u'/></error></message>")
	if Forbidden.Text != "" || Forbidden.Error() != "stanza: error forbidden" {
		t.Error("WithText modified the shared error")
	}
}

// TestCanError: RFC 6120 section 8.3.1
// (https://www.rfc-editor.org/rfc/rfc6120#section-8.3.1): "An entity that receives an error
// stanza MUST NOT respond to the stanza with a further error stanza". Results get no error
// reply either.
func TestCanError(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		var st Stanza
		_ = Read(parse(t, header, text), &st)
		if got := st.CanError(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	f("<message/>", true)
	f("<message type='error'/>", false)
	f("<presence type='unavailable'/>", true)
	f("<presence type='error'/>", false)
	f("<iq type='get'/>", true)
	f("<iq type='bogus'/>", true)
	f("<iq type='result'/>", false)
	f("<iq type='error'/>", false)
}

func TestResults(t *testing.T) {
	var st Stanza
	if err := Read(parse(t, header, "<iq type='get' id='1' to='x'><q xmlns='u'/></iq>"), &st); err != nil {
		t.Fatal(err)
	}
	if got, want := string(AppendResult(nil, &st, "r@x/1")), "<iq type='result' id='1' from='x' to='r@x/1'/>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := string(AppendResultStart(nil, &st, "")), "<iq type='result' id='1' from='x'>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
