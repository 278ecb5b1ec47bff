package parser

import (
	"strings"
	"testing"
)

// verdict returns the condition with which a stream ends, "" if it is accepted.
func verdict(s *Scratch, stream string) string {
	var p Parser
	defer p.Free(s)
	for data := []byte(stream); len(data) > 0; {
		_, n, err := p.Next(s, data)
		if err != nil {
			return err.(*Error).Condition
		}
		data = data[n:]
	}
	return ""
}

// conform checks the condition of each sample, with or without a header before it.
func conform(t *testing.T, header, condition string, samples ...string) {
	t.Helper()
	s := NewScratch(Limits{})
	for _, sample := range samples {
		if got := verdict(s, header+sample); got != condition {
			t.Errorf("%q: condition %q, want %q", sample, got, condition)
		}
	}
}

// RFC 6120 section 11.1 (https://www.rfc-editor.org/rfc/rfc6120#section-11.1): an
// implementation that receives comments, processing instructions, DTD subsets or entity
// references "MUST close the stream with a <restricted-xml/> stream error". They are
// rejected at their first bytes.
func TestRestricted(t *testing.T) {
	conform(t, testHeader, "restricted-xml",
		"<!-- c --><m/>", "<m><!-- c --></m>", "<!-", "<m><!-", "<m><!-x", "<m><!-\x01\xff",
		"<?php echo 1 ?>", "<m><?x", "<?", "<m><?\xff",
		"<!DOCTYPE m>", "<!D", "<m><!DOCTYPE m []></m>", "<!ELEMENT m ANY>", "<!E", "<!x",
		"<m>&nbsp;</m>", "<m>&xxe;</m>", "<m a='&xxe;'/>", "<m>&ltt;</m>", "<m>&LT;</m>", "<m>&l;</m>", "<m>&_;</m>", "<m>&é;</m>")
	conform(t, "", "restricted-xml", "<!DOCTYPE lolz [<!ENTITY lol 'lol'>]><s>", "<!-- x --><s>", "<?x?><s>", "<?xml version='1.0'?><?x?>", "<?xml version='1.0'?><!-- -->",
		// A second declaration, or one that is not at the beginning: a processing
		// instruction with a reserved name.
		"<?xml version='1.0'?><?xml version='1.0'?>", " <?xml version='1.0'?>", "<?xmlx?>", "<?XML version='1.0'?>")
	conform(t, testHeader, "restricted-xml", "<?xml version='1.0'?>", "<m><?xml version='1.0'?></m>")
}

// RFC 6120 section 11.6 (https://www.rfc-editor.org/rfc/rfc6120#section-11.6): "If one
// party to an XML stream detects that the other party has attempted to send XML data with
// an encoding other than UTF-8, it MUST close the stream with an <unsupported-encoding/>
// stream error". Section 4.9.3.22 includes invalid UTF-8.
func TestEncoding(t *testing.T) {
	conform(t, "", "unsupported-encoding",
		"<?xml version='1.0' encoding='ISO-8859-1'?><s>", "<?xml version='1.0' encoding='UTF-16'?><s>", "<?xml version='1.0' encoding='utf8'?><s>",
		"\xff\xfe<\x00s\x00", "\xfe\xff\x00<\x00s", "<\x00s\x00>\x00", "\x00<\x00s\x00>", "\x00\x00\xfe\xff", "\xff\xfe\x00\x00", "<\x00\x00\x00")
	var broken = []string{"\xff", "\xfe", "\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80",
		"\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xe2", "\xf0", "\xc3\x28", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x28\x8c\xbc", "\xc3\xc3\xa9"}
	for _, b := range broken {
		conform(t, testHeader, "unsupported-encoding",
			"<m>"+b+"</m>", "<m>x"+b+"x</m>", "<m a='"+b+"'/>", "<m a=\"x"+b+"\"/>", "<"+b+"/>", "<m"+b+"/>", "<m a"+b+"='1'/>", "<m><![CDATA["+b+"]]></m>",
			"<m>"+strings.Repeat("x", 100)+b+strings.Repeat("x", 100)+"</m>", b+"<m/>", "<m>&"+b+";</m>")
	}
	conform(t, testHeader, "", "<m>\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbf</m>")
	conform(t, "", "", "<?xml version='1.0' encoding='UTF-8'?><s>", "<?xml version='1.0' encoding='utf-8'?><s>", "<?xml version='1.0' encoding='Utf-8' standalone='no' ?>\n<s>")
}

// RFC 6120 section 11.3 (https://www.rfc-editor.org/rfc/rfc6120#section-11.3): "XML that
// is not well-formed" closes the stream with <not-well-formed/>. XML 1.0 production 2,
// Char.
func TestChars(t *testing.T) {
	for c := range 0x20 {
		condition := "not-well-formed"
		if c == '\t' || c == '\n' || c == '\r' {
			condition = ""
		}
		for _, in := range []string{"<m>%</m>", "<m>xxx%</m>", "<m a='%'/>", "<m><![CDATA[%]]></m>"} {
			conform(t, testHeader, condition, strings.Replace(in, "%", string(rune(c)), 1))
		}
		if condition != "" {
			conform(t, testHeader, condition, string(rune(c)), "<"+string(rune(c))+"m/>", "<m "+string(rune(c))+"/>", "<m a"+string(rune(c))+"=''/>", "<m></m"+string(rune(c))+">")
		}
	}
	conform(t, testHeader, "not-well-formed", "<m>\uFFFE</m>", "<m>\uFFFF</m>", "<m a='\uFFFE'/>", "<m><![CDATA[\uFFFF]]></m>", "<m>x\uFFFD\uFFFE</m>")
	conform(t, testHeader, "", "<m>\x7f\u0080\u009f\uFDD0\uFFFD\U0001FFFE\U0010FFFF</m>")
	// References: production 66 and its constraint, including overflow.
	conform(t, testHeader, "not-well-formed", "<m>&#0;</m>", "<m>&#8;</m>", "<m>&#x1F;</m>", "<m>&#xD800;</m>", "<m>&#xDFFF;</m>", "<m>&#xFFFE;</m>", "<m>&#65535;</m>",
		"<m>&#x110000;</m>", "<m>&#1114112;</m>", "<m>&#4294967356;</m>", "<m>&#x10000003C;</m>", "<m>&#18446744073709551676;</m>", "<m a='&#xFFFF;'/>",
		"<m>&#;</m>", "<m>&#x;</m>", "<m>&#X41;</m>", "<m>&#xG;</m>", "<m>&#6 5;</m>", "<m>&# 65;</m>", "<m>& </m>", "<m>&</m>", "<m>&;</m>", "<m>&amp </m>", "<m>&1;</m>", "<m a='&'/>", "<m a='& b'/>", "<m>&-a;</m>")
	// Every byte that is not a digit makes a reference invalid, including those between
	// '9' and 'A'.
	for c := range 0x80 {
		digit := c >= '0' && c <= '9'
		letter := c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if in := "<m>&#x4" + string(rune(c)) + "0;</m>"; c != ';' && !digit && !letter {
			conform(t, testHeader, "not-well-formed", in, "<m a='&#x4"+string(rune(c))+"0;'/>", "<m>&#x"+string(rune(c))+"0;</m>")
		}
		if in := "<m>&#4" + string(rune(c)) + "0;</m>"; c != ';' && !digit {
			conform(t, testHeader, "not-well-formed", in)
		}
	}
	conform(t, testHeader, "", "<m>&#9;&#10;&#13;&#32;&#xD7FF;&#xE000;&#xFFFD;&#x10000;&#x10FFFF;&#x10ffff;&#000000000000000000000000000000065;</m>", "<m a='&#60;&#38;&lt;&gt;&amp;&apos;&quot;'/>")
}

// Names: XML 1.0 fifth edition, productions 4 and 4a; Namespaces in XML,
// productions 4 and 7.
func TestNames(t *testing.T) {
	good := []string{"a", "_", "a1", "a-b.c_d", "é", "Ω", "ж", "名前", "a·", "à", "a\u203f", "\U00010000", "\U000EFFFF", "\u2c00", "\u200c", "\ufdf0", "x:a", "x:é", "x:_"}
	bad := []string{"1", "-a", ".a", "·", "\u0300", "a×", "÷", "\u037e", "\u2000", "a\u2010", "\u3000", "\ufdd0", "\U000F0000", "a\ufffe"[:1] + "\u2190",
		":a", "x:", "x:1", "x:-", "x:a:b", ":", "::", "a;", "a,b", "a@", "a!", "a$", "a\"", "a'", "a(", "x:·"}
	for _, n := range good {
		conform(t, testHeader, "", "<"+n+"/>", "<"+n+"></"+n+">", "<m "+n+"=''/>", "<"+n+" "+n+"=''/>")
	}
	for _, n := range bad {
		conform(t, testHeader, "not-well-formed", "<"+n+"/>", "<m "+n+"=''/>")
	}
	conform(t, testHeader, "not-well-formed", "< m/>", "<>", "< >", "<=/>", "<\"/>", "<&/>", "<</m>")
}

// Tags match and nest; anything after the end tag of the stream is ignored.
func TestMatch(t *testing.T) {
	conform(t, testHeader, "not-well-formed", "<m></n>", "<m></mm>", "<mm></m>", "<m></M>", "<m></>", "<m></ m>", "<m></m x>", "<m></m/>", "<m></m a='1'>", "<a><b></a></b>", "<m></x:m>", "<x:m></m>",
		"<é></è>", "<abcdefgh></abcdefgi>", "<abcdefghi></abcdefghj>", "</m>", "</stream:strea>", "</stream:streams>", "</stream>", "</stream:stream x>", "</ stream:stream>", "<m></stream:stream>",
		"</stream:stream><m/>", "</stream:stream>x", "</stream:stream></stream:stream>")
	conform(t, testHeader, "", "<m></m>", "<m></m \t\r\n>", "</stream:stream>", "</stream:stream \n>", "</stream:stream> \n ")
	conform(t, "", "not-well-formed", "x<s>", "</s>", "<s/ >", "<s/x", "<s/><a/>", "<s></s><a/>", "\uFEFF<s>", "<![CDATA[]]><s>", "]]>", "&lt;s>", "<s><m></s></m>")
	conform(t, "", "", "<s/>", "<s/> \n", "<s></s>", "\r\n\t <s>", "<s><s></s></s>")
	// The constraint of production 39 compares the names of tags as written, including
	// the prefix.
	conform(t, testHeader, "not-well-formed", "<m xmlns:y='urn:example:inherited'><x:a></y:a></m>")
}

// Attributes: productions 10, 25, 41; the constraints "Unique Att Spec" and "No
// < in Attribute Values"; Namespaces in XML section 6.3.
func TestAttributes(t *testing.T) {
	conform(t, testHeader, "not-well-formed", "<m a/>", "<m a=/>", "<m a=1/>", "<m a=''b=''/>", "<m a='1' 'b'='2'/>", "<m a = />", "<m a=''/ >", "<m/ a=''>", "<m a='<'/>", "<m a='&lt;<'/>", "<m =''/>", "<m a=`1`/>", "<m a='1\"/></m>\">",
		"<m a='1' a='1'/>", "<m a='' b='' c='' d='' a=''/>", "<m x:a='' x:a=''/>", "<m xmlns='a' xmlns='a'/>", "<m xmlns:p='a' xmlns:p='b'/>",
		"<m xmlns:p='u' xmlns:q='u' p:a='' q:a=''/>", "<m xmlns:y='urn:example:inherited' x:a='' y:a=''/>", "<m xmlns:y='urn:example:&#105;nherited' x:a='' y:a=''/>", "<m xmlns:p='&#117;' xmlns:q='u' p:a='' q:a=''/>",
		"<m xmlns:p='u'><n xmlns:q='u' p:a='' q:a=''/></m>", "<m xml:lang='' xml:lang=''/>")
	conform(t, testHeader, "", "<m a=''/>", "<m\ta\n=\r''\t\t/>", "<m a='\"' b=\"'\"/>", "<m a='>'/>", "<m a=']]>'/>", "<m xmlns:p='u' a='' p:a='' x:a='' xml:a=''/>",
		// Default namespaces do not apply to attributes. The pair of namespace and local
		// name differs from their concatenation (CVE-2022-25236).
		"<m xmlns='urn:example:inherited' a='' x:a=''/>", "<m xmlns:p='ur' xmlns:q='u' p:n='' q:rn=''/>", "<m xmlns:p='u:a' xmlns:q='u' p:b='' q:a.b=''/>")
}

// Text: production 14, and CDATA sections.
func TestText(t *testing.T) {
	conform(t, testHeader, "not-well-formed", "<m>]]></m>", "<m>a]]>b</m>", "<m>]]]></m>", "<m>]]]]]]></m>", "<m>]]>", "<m><![CDATA[x]]>]]></m>",
		"<m><![CDATA</m>", "<m><![cdata[]]></m>", "<m><![ CDATA[", "<m><![INCLUDE[", "<m><![C ", "<m>&amp;]]></m>")
	conform(t, testHeader, "", "<m>]]</m>", "<m>]</m>", "<m>]></m>", "<m>]] ></m>", "<m>]&#93;></m>", "<m>]]&gt;</m>", "<m>></m>", "<m><a/>]></m>", "<m>]<a/>]></m>", "<m>\"'</m>",
		"<m><![CDATA[<a>&b;]]]]></m>", "<m><![CDATA[]]></m>", "<m><![CDATA[]]]></m>", "<m><![CDATA[>]] >]]></m>", "<m><![CDATA[]]><![CDATA[]]></m>", "<m>]]<![CDATA[>]]></m>")
	// Only white space is allowed between first-level elements (RFC 6120 section 4.9.3.1,
	// bad-format, https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.1).
	conform(t, testHeader, "bad-format", "x", "<m/>x", " x <m/>", "&amp;", "&#32;", ">", "]", "<![CDATA[x]]>", "<![CDATA[ ]]>", "é", "\u00a0", "\u2028")
	conform(t, testHeader, "", " ", "\n\n\n", strings.Repeat(" \t\r\n", 10000), "<m/> <m/>\n")
}

// Prefixes: Namespaces in XML sections 3 and 5. RFC 6120 section 11.3
// (https://www.rfc-editor.org/rfc/rfc6120#section-11.3): data that is not
// namespace-well-formed is rejected with <not-well-formed/>.
func TestPrefixes(t *testing.T) {
	conform(t, testHeader, "not-well-formed", "<p:m/>", "<m p:a=''/>", "<m><n xmlns:p='u'/><p:o/></m>", "<m xmlns:p='u'/><p:m/>", "<Stream:m/>",
		"<m xmlns:p=''/>", "<m xmlns:xml='u'/>", "<m xmlns:xml=''/>", "<m xmlns:xmlns='u'/>", "<m xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", "<xmlns:m/>", "<m xmlns:=''/>", "<m xmlns:1='u'/>",
		"<m xmlns:p='http://www.w3.org/XML/1998/namespace'/>", "<m xmlns='http://www.w3.org/XML/1998/namespace'/>", "<m xmlns:p='http://www.w3.org/2000/xmlns/'/>", "<m xmlns='http://www.w3.org/2000/xmlns/'/>",
		"<m xmlns:p='http://www.w3.org/2000/xmln&#115;/'/>", "<m xmlns:xml='http://www.w3.org/XML/1998/namespace/'/>")
	conform(t, testHeader, "", "<x:m/>", "<m x:a=''/>", "<stream:m/>", "<xml:m/>", "<m xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", "<m xmlns:xml='http://www.w3.org/XML/1998/n&#97;mespace'/>", "<p:m xmlns:p='u'/>", "<p:m p:a='' xmlns:p='u'/>",
		"<m xmlns:p='u'><p:n><p:o p:a=''/></p:n></m>", "<m xmlns='' xmlns:p='u'/>", "<m xmlns:xmlfoo='u'/>", "<m xmlns:stream='other'><stream:n/></m>")
	conform(t, "", "not-well-formed", "<p:s>", "<s xmlns:p=''>", "<s p:a=''>", "<stream:stream xmlns='jabber:client'>")
}

// RFC 6120 sections 4.9.3.14 and 13.12
// (https://www.rfc-editor.org/rfc/rfc6120#section-13.12): exceeding a limit is a policy
// violation, reported at the first excess byte.
func TestLimits(t *testing.T) {
	s := NewScratch(Limits{MaxStanza: 10000, MaxDepth: 5, MaxAttrs: 8, MaxNamespaces: 6, MaxName: 16})
	f := func(stanza, condition string) {
		t.Helper()
		if got := verdict(s, testHeader+stanza); got != condition {
			t.Errorf("%.60q: condition %q, want %q", stanza, got, condition)
		}
	}
	f("<m>"+strings.Repeat("x", 10000-7)+"</m>", "")
	f("<m>"+strings.Repeat("x", 10000-6)+"</m>", "policy-violation")
	f("<m>"+strings.Repeat("x", 10000), "policy-violation")
	f("<m a='"+strings.Repeat("x", 10000), "policy-violation")
	f("<m><![CDATA["+strings.Repeat("<", 10000), "policy-violation")
	f("<m>&#"+strings.Repeat("0", 10000), "policy-violation")
	f("<m"+strings.Repeat(" ", 10000), "policy-violation")
	f("<m></m"+strings.Repeat(" ", 10000), "policy-violation")
	f("<m>&"+strings.Repeat("a", 17), "policy-violation")
	f("<a><a><a><a><a></a></a></a></a></a>", "")
	f("<a><a><a><a><a/></a></a></a></a>", "")
	f("<a><a><a><a><a><a/>", "policy-violation")
	f("<a><a><a><a><a><a>", "policy-violation")
	f("<m a='' b='' c='' d='' e='' f='' g='' h=''/>", "")
	f("<m a='' b='' c='' d='' e='' f='' g='' h='' i=''", "policy-violation")
	f("<m xmlns:a='u' xmlns:b='u' xmlns:c='u' xmlns:d='u'/>", "") // the header has declared two already
	f("<m xmlns:a='u' xmlns:b='u' xmlns:c='u'><n xmlns:d='u' xmlns:e='u'/></m>", "policy-violation")
	f("<m><n xmlns:a='u' xmlns:b='u' xmlns:c='u'/><n xmlns:d='u' xmlns:e='u'/></m>", "")
	f("<abcdefghijklmnop/>", "")
	f("<abcdefghijklmnopq", "policy-violation")
	f("<m abcdefghijklmnop=''/>", "")
	f("<m abcdefghijklmnopq", "policy-violation")
	f("<x:cdefghijklmnop/>", "")
	f("<x:cdefghijklmnopq", "policy-violation")
	f("<éééééééé/>", "")
	f("<éééééééééé", "policy-violation")
	long := NewScratch(Limits{})
	if got := verdict(long, testHeader+"<"+strings.Repeat("p", 255)+":a/>"); got != "policy-violation" {
		t.Errorf("a prefix of 255 bytes: %q", got)
	}
	if got := verdict(long, "<s xmlns:p='"+strings.Repeat("u", 3000)+"'>"); got != "policy-violation" {
		t.Errorf("a header with 3,000 bytes of context: %q", got)
	}
	for uri, want := range map[string]string{strings.Repeat("u", 2000): "", strings.Repeat("&amp;", 400): "", strings.Repeat("&amp;", 420): "policy-violation",
		strings.Repeat("\"", 330): "", strings.Repeat("\"", 350): "policy-violation"} {
		if got := verdict(long, "<s xmlns:p='"+uri+"'>"); got != want {
			t.Errorf("a context with the URI %.6s… of %d bytes: %q, want %q", uri, len(uri), got, want)
		}
	}
	if got := verdict(long, "<s a='"+strings.Repeat("u", 3000)+"'>"); got != "" {
		t.Errorf("a header with 3,000 bytes outside the context: %q", got)
	}
	if got := verdict(long, "<?xml version='1.0'"+strings.Repeat(" ", 2000)); got != "policy-violation" {
		t.Errorf("a declaration of 2,000 bytes: %q", got)
	}
}
