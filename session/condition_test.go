package session_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

const (
	openStream  = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	nsCondition = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
)

// TestConditions: each check of the parser ends the stream with the condition that the RFC
// requires, after our header if there was none yet, and with the closing tag. Nothing after
// it is processed.
func TestConditions(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	f := func(condition, in string) {
		t.Helper()
		got := answer(t, s, in, condition == "")
		if condition == "" {
			if strings.Contains(got, "<stream:error>") {
				t.Errorf("%.100q: got %s", in, got)
			}
			return
		}
		wantEnd := "</stream:error></stream:stream>"
		if strings.Count(got, "<stream:error>") != 1 || !strings.Contains(got, "<stream:error><"+condition+nsCondition) || !strings.HasSuffix(got, wantEnd) {
			t.Errorf("%.100q: got %s\nwant %s", in, got, condition)
		}
		if !strings.HasPrefix(got, "<?xml version='1.0'?><stream:stream ") || strings.Count(got, "<stream:stream ") != 1 {
			t.Errorf("%.100q: the response does not have exactly one header: %s", in, got)
		}
	}
	header := func(with string) string {
		return "<stream:stream to='localhost' version='1.0' xmlns:stream='http://etherx.jabber.org/streams' " + with + ">"
	}
	// Before and in the header.
	f("", openStream)
	f("", "\n<?xml version='1.0'?>\n"[1:]+openStream[len("<?xml version='1.0'?>"):])
	f("", "<?xml\tversion = \"1.7\" encoding='utf-8' standalone='no' ?>\r\n"+header("xmlns='jabber:client'"))
	f("", "<s:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>")
	f("", header("xmlns='jabber:&#x63;lient'"))
	f("", header("xmlns='jabber:client' xmlns:xml='http://www.w3.org/XML/1998/namespace'"))
	f("restricted-xml", "<!DOCTYPE s><s>")
	f("restricted-xml", "<!-- --><s>")
	f("restricted-xml", "\n"+openStream)
	f("restricted-xml", "<?xml version='1.0'?>"+openStream)
	f("restricted-xml", "<?xml-stylesheet href='x'?><s>")
	f("not-well-formed", "\ufeff"+openStream) // RFC 6120 section 11.6: it is a character, not a byte order mark
	f("not-well-formed", "text")
	f("not-well-formed", "<?xml version='2.0'?>")
	f("not-well-formed", "<?xml encoding='UTF-8'?>")
	f("not-well-formed", "<?xml version='1.0' standalone='maybe'?>")
	f("not-well-formed", "<?xml version='1.0'encoding='UTF-8'?>")
	f("not-well-formed", "<?xml version='1.0' standalone='yes' encoding='UTF-8'?>")
	f("not-well-formed", "<stream:stream xmlns='jabber:client'>")
	f("not-well-formed", header("xmlns='jabber:client' xmlns='jabber:client'"))
	f("not-well-formed", header("xmlns='jabber:client' xmlns:a=''"))
	f("not-well-formed", header("xmlns='jabber:client' xmlns:xmlns='a'"))
	f("not-well-formed", header("xmlns='jabber:client' xmlns:a='http://www.w3.org/2000/xmlns/'"))
	f("not-well-formed", header("xmlns='http://www.w3.org/XML/1998/namespace'"))
	f("unsupported-encoding", "<?xml version='1.0' encoding='UTF-16'?>")
	f("unsupported-encoding", "<?xml version='1.0' encoding='latin1'?>")
	f("unsupported-encoding", "\xff\xfe<\x00")
	f("unsupported-encoding", "\xfe\xff\x00<")
	f("unsupported-encoding", "<\x00s\x00")
	f("unsupported-encoding", "\x00<\x00s")
	f("unsupported-encoding", header("xmlns='jabber:client' a='\xc3\x28'"))
	f("invalid-namespace", header(""))
	f("invalid-namespace", header("xmlns='jabber:server'"))
	f("invalid-namespace", header("xmlns=''"))
	f("invalid-namespace", "<stream to='localhost' version='1.0' xmlns='jabber:client'>")
	f("bad-format", "<html>")
	f("policy-violation", header("xmlns='jabber:client' xmlns:a='"+strings.Repeat("u", 3000)+"'"))
	// In the stream.
	for _, in := range []string{"<!-- c -->", "<m><!-- c --></m>", "<?pi?>", "<m><?xml version='1.0'?></m>", "<m>&nbsp;</m>", "<m a='&xxe;'/>", "<m><!DOCTYPE m></m>", "<!D"} {
		f("restricted-xml", openStream+in)
	}
	for _, in := range []string{"<m></n>", "</n>", "<m a='1' a='2'/>", "<m xmlns:p='u' xmlns:q='u' p:a='' q:a=''/>", "<p:m/>", "<m p:a=''/>", "<m a='<'/>", "<m>]]></m>", "<m a=1/>", "<m/ >", "<1/>",
		"<m>&#0;</m>", "<m>&#xD800;</m>", "<m>&#xFFFE;</m>", "<m>&#4294967356;</m>", "<m>&#x110000;</m>", "<m>\x01</m>", "<m>\uffff</m>", "\x00", "<m xmlns:p=''/>", "<m xmlns:xml='u'/>", "<a:b:c/>", "<:m/>",
		"</stream:stream x>", "<m>&</m>", "<m>&#x<0;</m>", "<a><b></a>", "<m></ m>"} {
		f("not-well-formed", openStream+in)
	}
	for _, in := range []string{"<m>\xff</m>", "<m>\xc0\xaf</m>", "<m a='\xed\xa0\x80'/>", "<\xf5/>", "<m>\xc3</m>", "\x80", "<m><![CDATA[\xf4\x90\x80\x80]]></m>"} {
		f("unsupported-encoding", openStream+in)
	}
	for _, in := range []string{"text", "&amp;", "<![CDATA[x]]>", "\u00a0", "\ufeff"} {
		f("bad-format", openStream+in)
	}
	for _, in := range []string{strings.Repeat("<a>", 100), "<m" + strings.Repeat(" ", 70000), "<m>" + strings.Repeat("x", 70000), "<" + strings.Repeat("n", 2000), "<m><![CDATA[" + strings.Repeat("<", 70000),
		"<m a='" + strings.Repeat("&#9;", 20000), "<m" + manyAttrs(100) + "/>", "<m" + manyPrefixes(100) + "/>"} {
		f("policy-violation", openStream+in)
	}
}

func manyAttrs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" a" + strings.Repeat("b", i) + "=''")
	}
	return b.String()
}

func manyPrefixes(n int) string { return strings.ReplaceAll(manyAttrs(n), " a", " xmlns:a") }

// answer returns the server's response to in, up to the end of the stream or, if accepted,
// up to the features.
func answer(t *testing.T, s *xmpptest.Server, in string, accepted bool) string {
	t.Helper()
	conn, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(xmpptest.WaitLimit))
	_, _ = io.WriteString(conn, in) // the server may end the stream before it has read everything
	var got strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		switch text := got.String(); {
		case strings.HasSuffix(text, "</stream:features>") && accepted:
			return text
		case errors.Is(err, io.EOF):
			return text
		case err != nil:
			t.Fatalf("%.100q: %v after %q", in, err, text)
		}
	}
}
