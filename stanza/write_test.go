package stanza

import (
	"testing"
	"time"
)

func TestHead(t *testing.T) {
	f := func(h Head, want string) {
		t.Helper()
		if got := string(h.AppendEmpty(nil)); got != want+"/>" {
			t.Errorf("%s, want %s/>", got, want)
		}
		if got := string(h.AppendStart(nil)); got != want+">" {
			t.Errorf("%s, want %s>", got, want)
		}
	}
	f(Head{Kind: Message}, "<message")
	f(Head{Kind: Presence, Type: Available, From: "a'b"}, "<presence from='a&apos;b'")
	f(Head{Kind: Presence, Type: Unavailable, From: "a", To: "b", ID: "c"}, "<presence type='unavailable' id='c' from='a' to='b'")
	f(Head{Kind: IQ, Type: Set, ID: "1"}, "<iq type='set' id='1'")
}

// TestForward: what the client wrote, but for the addresses and what only its
// own stream declares.
func TestForward(t *testing.T) {
	stamped := Edit{From: "r@x/1"}
	f := func(text string, e Edit, want string) {
		t.Helper()
		var st Stanza
		if err := Read(parse(t, header, text), &st); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := string(AppendForward([]byte("-"), &st, e)); got != "-"+want {
			t.Errorf("%s\nis forwarded as %s\nwant            %s", text, got[1:], want)
		}
	}
	f("<message/>", stamped, "<message from='r@x/1'/>")
	f("<message />", stamped, "<message from='r@x/1'/>")
	f("<message></message>", stamped, "<message from='r@x/1'></message>")
	f("<message from='evil@x' to='j@x'><body>b</body></message>", stamped, "<message from='r@x/1' to='j@x'><body>b</body></message>")
	f("<message from='a' from2='b' xfrom='c'/>", stamped, "<message from='r@x/1' from2='b' xfrom='c'/>")
	f("<message to=\"J@x\" type='chat' id='1'/>", stamped, "<message from='r@x/1' to=\"J@x\" type='chat' id='1'/>")
	f("<message\n\tto\r=\n'j@x'\n>x</message\n>", stamped, "<message from='r@x/1' to\r=\n'j@x'>x</message\n>")
	f("<message a='>' b='/>'/>", stamped, "<message from='r@x/1' a='>' b='/>'/>")
	f("<message xmlns='jabber:client'/>", stamped, "<message from='r@x/1'/>")
	f("<message xml:lang='de'/>", stamped, "<message from='r@x/1' xml:lang='de'/>")
	f("<presence to='j@x/1' id='1'/>", Edit{From: "r@x", To: "j@x"}, "<presence from='r@x' to='j@x' id='1'/>")
	f("<presence to='j@x/1' id='1'/>", Edit{From: "a<b"}, "<presence from='a&lt;b' to='j@x/1' id='1'/>")
	f("<presence to='j@x/1' from='r@x/1' id='1' a='2'/>", Edit{DropID: true, DropTo: true}, "<presence a='2'/>")
	// RFC 6120 section 4.8: a prefix of the header is declared where it is used.
	f("<message><p:x/></message>", stamped, "<message from='r@x/1' xmlns:p='urn:p'><p:x/></message>")
	f("<message p:a='1'/>", stamped, "<message from='r@x/1' p:a='1' xmlns:p='urn:p'/>")
	f("<message xmlns:p='urn:q'><p:x/></message>", stamped, "<message from='r@x/1' xmlns:p='urn:q'><p:x/></message>")
}

// TestForwardOtherPrefix: a stanza that has a prefix itself, or whose content is
// in the namespace of streams by default, is written anew.
func TestForwardOtherPrefix(t *testing.T) {
	f := func(header, text, want string) {
		t.Helper()
		var st Stanza
		if err := Read(parse(t, header, text), &st); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got := AppendForward(nil, &st, Edit{From: "r@x/1"})
		if string(got) != want {
			t.Errorf("%s\nis forwarded as %s\nwant            %s", text, got, want)
		}
	}
	f(header, "<c:message xmlns:c='jabber:client' to='j@x'><c:body>b</c:body></c:message>", "<message from='r@x/1' to='j@x'><body>b</body></message>")
	f("<stream version='1.0' xmlns='http://etherx.jabber.org/streams'>", "<message xmlns='jabber:client'><body/></message>", "<message from='r@x/1'><body/></message>")
}

func TestInside(t *testing.T) {
	f := func(whole, want string) {
		t.Helper()
		if got := string(AppendInside([]byte("-"), []byte(whole), []byte("<d/>"))); got != "-"+want {
			t.Errorf("%s: %s, want %s", whole, got[1:], want)
		}
	}
	f("<message/>", "<message><d/></message>")
	f("<message a='/>'/>", "<message a='/>'><d/></message>")
	f("<message></message>", "<message><d/></message>")
	f("<message></message\n>", "<message><d/></message\n>")
	f("<message><body/></message>", "<message><body/><d/></message>")
	f("<message a='1'><x/>text</message>", "<message a='1'><x/>text<d/></message>")
	f("<message><![CDATA[</message>]]></message>", "<message><![CDATA[</message>]]><d/></message>")
}

func TestDelay(t *testing.T) {
	at := time.Date(2024, 2, 29, 23, 59, 58, 987654321, time.FixedZone("", 3600))
	got := string(AppendDelay(nil, "a'b", at))
	if want := "<delay xmlns='urn:xmpp:delay' from='a&apos;b' stamp='2024-02-29T22:59:58.987Z'/>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNothingIsAllocated: reading and forwarding a stanza take no memory but
// the caller's.
func TestNothingIsAllocated(t *testing.T) {
	d := parse(t, header, "<message to='j@x/1' type='chat' id='1'><body>b</body><p:x/></message>")
	var st Stanza
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if err := Read(d, &st); err != nil {
			t.Fatal(err)
		}
		buf = AppendForward(buf[:0], &st, Edit{From: "r@x/1"})
		buf = AppendError(buf[:0], &st, "r@x/1", ServiceUnavailable)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
