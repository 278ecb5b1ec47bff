package stanza

import (
	"strings"
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

// TestForward: a stanza is forwarded unchanged except for its addresses and declarations
// that only its own stream makes.
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
	// RFC 6120 section 4.8: a prefix of the stream header is declared where it is used.
	f("<message><p:x/></message>", stamped, "<message from='r@x/1' xmlns:p='urn:p'><p:x/></message>")
	f("<message p:a='1'/>", stamped, "<message from='r@x/1' p:a='1' xmlns:p='urn:p'/>")
	f("<message xmlns:p='urn:q'><p:x/></message>", stamped, "<message from='r@x/1' xmlns:p='urn:q'><p:x/></message>")
}

// TestOmit: children that are omitted are left out, and everything else remains, whether
// the stanza can be forwarded as it was received or must be rewritten.
func TestOmit(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var st Stanza
		if err := Read(parse(t, header, text), &st); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for el := st.Root.First(); el.OK(); el = el.Next() {
			if string(el.Local()) == "no" {
				st.Omit(el)
			}
		}
		if got := string(AppendForward([]byte("-"), &st, Edit{From: "r@x/1"})); got != "-"+want {
			t.Errorf("%s\nis forwarded as %s\nwant            %s", text, got[1:], want)
		}
	}
	f("<message><no/></message>", "<message from='r@x/1'></message>")
	f("<message id='1'><no a='>'>text<no/></no><body>b</body> <no/><a><no/></a><no></no></message>",
		"<message from='r@x/1' id='1'><body>b</body> <a><no/></a></message>")
	f("<c:message xmlns:c='jabber:client' id='1'><no/><c:body>b</c:body><no/><a xmlns='urn:a'><no/></a><c:no/></c:message>",
		"<message from='r@x/1' id='1'><body>b</body><a xmlns='urn:a'><no/></a></message>")
	f("<c:message xmlns:c='jabber:client'><no/></c:message>", "<message from='r@x/1'></message>")
}

// TestFrom: the sender of a complete stanza, as written.
func TestFrom(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(From([]byte(text))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f("<message from='a@x/1' to='b@x'/>", "a@x/1")
	f("<message to='b@x' from = \"a@x/'\" id='1'><from from='c'/></message>", "a@x/'")
	f("<message xfrom='b' id=\"from='c'\" from='a&apos;&lt;'>", "a&apos;&lt;")
	f("<message><x from='c'/></message>", "")
	f("<message/>", "")
}

// TestForwardLang: RFC 6120 section 8.1.5
// (https://www.rfc-editor.org/rfc/rfc6120#section-8.1.5): "If an outbound stanza generated
// by a client does not possess an 'xml:lang' attribute, the client's server SHOULD add an
// 'xml:lang' attribute whose value is that specified for the client's output stream".
func TestForwardLang(t *testing.T) {
	f := func(lang, text, want string) {
		t.Helper()
		var st Stanza
		if err := Read(parse(t, strings.Replace(header, " version", lang+" version", 1), text), &st); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := string(AppendForward(nil, &st, Edit{From: "r@x/1"})); got != want {
			t.Errorf("%s, %s\nis forwarded as %s\nwant            %s", lang, text, got, want)
		}
	}
	de := " xml:lang='de'"
	f(de, "<message><p:x/></message>", "<message from='r@x/1' xmlns:p='urn:p' xml:lang='de'><p:x/></message>")
	f(de, "<message/>", "<message from='r@x/1' xml:lang='de'/>")
	f(de, "<c:message xmlns:c='jabber:client'><c:body>b</c:body></c:message>", "<message from='r@x/1' xml:lang='de'><body>b</body></message>")
	f(de, "<message xml:lang='fr'/>", "<message from='r@x/1' xml:lang='fr'/>")
	f(de, "<message xml:lang=''/>", "<message from='r@x/1' xml:lang=''/>")
	f(de, "<c:message xmlns:c='jabber:client' xml:lang='fr'/>", "<message from='r@x/1' xml:lang='fr'/>")
	f(de, "<message lang='fr'/>", "<message from='r@x/1' lang='fr' xml:lang='de'/>")
	f(" xml:lang='&apos;&lt;&#x20;'", "<message/>", "<message from='r@x/1' xml:lang='&apos;&lt; '/>")
	f(" xml:lang=''", "<message/>", "<message from='r@x/1'/>")
	f(" lang='de'", "<message/>", "<message from='r@x/1'/>")
	f(" xml:lang='"+strings.Repeat("x", 64)+"'", "<message/>", "<message from='r@x/1' xml:lang='"+strings.Repeat("x", 64)+"'/>")
	f(" xml:lang='"+strings.Repeat("x", 65)+"'", "<message/>", "<message from='r@x/1'/>")
}

// TestForwardOtherPrefix: a stanza is rewritten if its name has a prefix, or if the default
// namespace of its content is that of streams.
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
	// Long namespaces are declared once, not at each use.
	l := "urn:" + strings.Repeat("l", 600)
	f(header, "<c:message xmlns:c='jabber:client' xmlns='u:u' xmlns:l='"+l+"'><l:a/><l:a/><l:a/><l:a/><l:a/><body/></c:message>",
		"<c:message from='r@x/1' xmlns:c='jabber:client' xmlns='u:u' xmlns:l='"+l+"'><l:a/><l:a/><l:a/><l:a/><l:a/><body/></c:message>")
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

// TestNothingIsAllocated: reading and forwarding a stanza allocates no memory.
func TestNothingIsAllocated(t *testing.T) {
	d := parse(t, strings.Replace(header, " version", " xml:lang='en' version", 1), "<message to='j@x/1' type='chat' id='1'><body>b</body><p:x/></message>")
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

// TestForwardEmbedded: a stanza inside an element of another namespace, as in XEP-0297,
// keeps its namespace, and so does its content.
func TestForwardEmbedded(t *testing.T) {
	// Prefixes are kept if the declarations needed without them would be too long.
	long := " xmlns:l='urn:" + strings.Repeat("l", 600) + "'><l:a/><l:a/><l:a/><l:a/><l:a/>"
	f := func(desc, text string) {
		t.Helper()
		var st Stanza
		if err := Read(parse(t, header, text), &st); err != nil {
			t.Fatalf("%s: %v", desc, err)
		}
		b := AppendForward([]byte("<forwarded xmlns='urn:xmpp:forward:0'>"), &st, Edit{From: "r@x/1", Embed: true})
		b = append(b, "</forwarded>"...)
		inner := parse(t, header, string(b)).Root().First()
		if !inner.Is(NSClient, "message") || !inner.Child(NSClient, "body").OK() || string(inner.Attr("from")) != "r@x/1" {
			t.Errorf("%s: the stanza or its content lost its namespace: %.300s", desc, b)
		}
	}
	f("unprefixed", "<message from='a@x'><body/></message>")
	f("declared", "<message xmlns='jabber:client'><body/></message>")
	f("prefixed", "<c:message xmlns:c='jabber:client'><c:body/></c:message>")
	f("prefixed, other default", "<c:message xmlns:c='jabber:client' xmlns='urn:q'><c:body/><body/></c:message>")
	f("prefixed, prefixes kept", "<c:message xmlns:c='jabber:client'"+long+"<c:body/></c:message>")
	f("prefixed, other default, prefixes kept", "<c:message xmlns:c='jabber:client' xmlns='urn:q'"+long+"<c:body/><body/></c:message>")
}
