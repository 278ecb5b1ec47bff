package stanza

import (
	"strings"
	"testing"

	"roost/parser"
)

const testHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:ext='urn:ext'>"

// read is a stanza as a client sends it.
func read(t testing.TB, text string) *Stanza {
	t.Helper()
	var p parser.Parser
	scratch := parser.NewScratch(parser.Limits{})
	data := []byte(testHeader + text)
	for len(data) > 0 {
		ev, n, err := p.Next(scratch, data)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		data = data[n:]
		if ev == parser.Stanza {
			st := new(Stanza)
			if err := Read(scratch.Take(), st); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			return st
		}
	}
	t.Fatalf("%s: no stanza", text)
	return nil
}

// TestForward: what leaves is what came, but for the addresses.
func TestForward(t *testing.T) {
	f := func(e Edit, in, want string) {
		t.Helper()
		st := read(t, in)
		if got := string(AppendForward(nil, st, e)); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
		if !st.Doc.Canonical() {
			return
		}
		// Both ways of writing agree.
		fast, slow := read(t, want), read(t, string(appendForwardSlow(nil, st, e)))
		if a, b := fast.Root.AppendXML(nil), slow.Root.AppendXML(nil); string(a) != string(b) {
			t.Errorf("%s\nfast %s\nslow %s", in, a, b)
		}
	}
	from := Edit{From: "romeo@localhost/o"}
	f(from, "<message/>", "<message from='romeo@localhost/o'/>")
	f(from, "<message></message>", "<message from='romeo@localhost/o'></message>")
	f(from, "<message from='juliet@localhost' to='a@b'/>", "<message from='romeo@localhost/o' to='a@b'/>")
	f(from, "<message  to = \"a@b\"\n  id='1' ><body>x</body></message>", "<message from='romeo@localhost/o' to = \"a@b\" id='1'><body>x</body></message>")
	f(from, "<message to='a@b' xml:lang='en' a='/'/>", "<message from='romeo@localhost/o' to='a@b' xml:lang='en' a='/'/>")
	f(from, "<message xmlns='jabber:client' to='a@b'><x xmlns='y'/></message>", "<message from='romeo@localhost/o' to='a@b'><x xmlns='y'/></message>")
	f(from, "<message to='a@b'><ext:x/></message>", "<message from='romeo@localhost/o' to='a@b' xmlns:ext='urn:ext'><ext:x/></message>")
	f(Edit{From: "a'b@x/&"}, "<message/>", "<message from='a&apos;b@x/&amp;'/>")
	f(Edit{From: "r@x", To: "j@x"}, "<presence to='q@x' id='i'/>", "<presence from='r@x' to='j@x' id='i'/>")
	f(Edit{DropID: true, DropTo: true}, "<presence id='1' to='x' type='subscribe'><status>a</status></presence>", "<presence type='subscribe'><status>a</status></presence>")
	f(from, "<c:message xmlns:c='jabber:client' to='a@b'><c:body>x</c:body></c:message>", "<message from='romeo@localhost/o' to='a@b'><body>x</body></message>")
}

// TestHead: the server's own stanzas.
func TestHead(t *testing.T) {
	f := func(h Head, want string) {
		t.Helper()
		if got := string(h.AppendEmpty(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(Head{Kind: Presence, Type: Unavailable, From: "a@b/c", To: "d@e"}, "<presence type='unavailable' from='a@b/c' to='d@e'/>")
	f(Head{Kind: Message, ID: "<'"}, "<message id='&lt;&apos;'/>")
	if got := string(Head{Kind: IQ, Type: Set}.AppendStart(nil)); got != "<iq type='set'>" {
		t.Errorf("got %s", got)
	}
}

// TestInside: a child is put at the end of a stanza, whatever form it has.
func TestInside(t *testing.T) {
	f := func(whole, want string) {
		t.Helper()
		if got := string(AppendInside(nil, []byte(whole), []byte("<d/>"))); got != want {
			t.Errorf("%s became %s, want %s", whole, got, want)
		}
	}
	f("<message/>", "<message><d/></message>")
	f("<message a='/>'/>", "<message a='/>'><d/></message>")
	f("<message><x/></message>", "<message><x/><d/></message>")
	f("<message></message >", "<message><d/></message >")
}

// TestErrors: RFC 6120 section 8.3.1: an error has the addresses swapped, a type
// and a condition.
func TestErrors(t *testing.T) {
	st := read(t, "<iq type='get' id='1' to='localhost'><x xmlns='y'/></iq>")
	got := string(AppendError(nil, st, "romeo@localhost/o", ServiceUnavailable))
	for _, want := range []string{"<iq ", "type='error'", "id='1'", "from='localhost'", "to='romeo@localhost/o'",
		"<error type='cancel'>", "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	for _, text := range []string{"<iq type='result' id='1'/>", "<iq type='error' id='1'/>", "<message type='error'/>", "<presence type='error'/>"} {
		if read(t, text).CanError() {
			t.Errorf("%s is answered with an error", text)
		}
	}
}

// TestRead: what is no stanza, and what must be answered with an error.
func TestRead(t *testing.T) {
	f := func(text string, kind Kind, typ Type) {
		t.Helper()
		if st := read(t, text); st.Kind != kind || st.Type != typ {
			t.Errorf("%s: kind %v, type %v; want %v, %v", text, st.Kind, st.Type, kind, typ)
		}
	}
	f("<message/>", Message, Normal)
	f("<message type='fish'/>", Message, Normal)
	f("<message type='groupchat'/>", Message, Groupchat)
	f("<presence/>", Presence, Available)
	f("<presence type='fish'/>", Presence, UnknownType)
	f("<iq type='set' id='1'><x xmlns='y'/></iq>", IQ, Set)
}
