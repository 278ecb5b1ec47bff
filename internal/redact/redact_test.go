package redact

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

const scope = " xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"

// TestAppend: what is hidden, without text and with it. The rest is as it was sent.
func TestAppend(t *testing.T) {
	f := func(desc, unit, hidden, text string) {
		t.Helper()
		for i, want := range []string{hidden, text} {
			r := New()
			r.Text = i == 1
			got, ok := r.Append([]byte("> "), []byte(scope), []byte(unit))
			if !ok || string(got) != "> "+want {
				t.Errorf("%s, text %v:\n got %s %v\nwant %s", desc, r.Text, got, ok, want)
			}
		}
	}
	same := func(desc, unit string) { t.Helper(); f(desc, unit, unit, unit) }
	same("addresses and types", "<message to='a@b/c' from=\"d@e\" type='chat' id='1' xml:lang='en'/>")
	same("white space", "<iq  type = 'get'\n id='1' ><query xmlns='jabber:iq:roster'>\n </query >\t</iq>")
	same("the end", "</stream:stream>")
	same("prefixes", "<stream:features><r:x xmlns:r='urn:r' r:y=''/></stream:features>")
	f("a body", "<message><body>hello</body></message>", "<message><body>…</body></message>", "<message><body>hello</body></message>")
	f("mixed content", "<message>a<b/>c<b>d</b> </message>", "<message>…<b/>…<b>…</b> </message>", "<message>a<b/>c<b>d</b> </message>")
	f("references", "<message><body>&lt;a&#x41;&amp;</body></message>", "<message><body>…</body></message>", "<message><body>&lt;a&#x41;&amp;</body></message>")
	f("a space that is a reference", "<message><body>&#32;</body></message>", "<message><body>…</body></message>", "<message><body>&#32;</body></message>")
	f("sections", "<message><body>a<![CDATA[<b>]]>c<![CDATA[]]></body></message>",
		"<message><body>…<![CDATA[…]]>…<![CDATA[]]></body></message>", "<message><body>a<![CDATA[<b>]]>c<![CDATA[]]></body></message>")
	f("a prefix", "<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>",
		"<c:message xmlns:c='jabber:client'><c:body>…</c:body></c:message>", "<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>")
	f("the text of an error", "<iq type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x</gone><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>why</text></error></iq>",
		"<iq type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>…</gone><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>…</text></error></iq>",
		"<iq type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x</gone><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>why</text></error></iq>")
	f("attributes", `<iq><query xmlns='jabber:iq:roster'><item jid='a@b' name="A 'q' &gt;" subscription='both'/></query></iq>`,
		`<iq><query xmlns='jabber:iq:roster'><item jid='a@b' name="…" subscription='both'/></query></iq>`,
		`<iq><query xmlns='jabber:iq:roster'><item jid='a@b' name="A 'q' &gt;" subscription='both'/></query></iq>`)
	f("an attribute with a prefix", "<message><a xmlns:x='u' x:to='b'/></message>", "<message><a xmlns:x='u' x:to='…'/></message>", "<message><a xmlns:x='u' x:to='b'/></message>")
	long := strings.Repeat("x", maxShown+1)
	f("long values", "<message id='"+long+"' xmlns:y='"+long+"'/>", "<message id='…' xmlns:y='…'/>", "<message id='"+long+"' xmlns:y='"+long+"'/>")
	deep := strings.Repeat("<a>", 5000)
	same("depth", "<iq>"+deep+strings.ReplaceAll(deep, "<", "</")+"</iq>")
}

// TestSecrets: credentials are hidden even if text is shown.
func TestSecrets(t *testing.T) {
	const marker = "s3cr3t"
	f := func(unit string, visible ...string) {
		t.Helper()
		if !strings.Contains(unit, marker) {
			t.Fatalf("%s has no secret", unit)
		}
		for _, text := range []bool{false, true} {
			r := New()
			r.Text = text
			got, ok := r.Append(nil, []byte(scope+" xmlns:reg='jabber:iq:register'"), []byte(unit))
			if !ok || strings.Contains(string(got), marker) || !strings.Contains(string(got), Secret) {
				t.Errorf("%s: %s %v", unit, got, ok)
			}
			for _, want := range visible {
				if text && !strings.Contains(string(got), want) {
					t.Errorf("%s: %s, want %s", unit, got, want)
				}
			}
		}
	}
	f("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>s3cr3t</auth>")
	f("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>s3<![CDATA[cr3]]>t<![CDATA[s3cr3t]]></response>")
	f("<auth>s3cr3t</auth>")
	f("<s:success xmlns:s='urn:ietf:params:xml:ns:xmpp-sasl'>s3cr3t</s:success>")
	f("<success xmlns='urn:xmpp:sasl:2'><additional-data>s3cr3t</additional-data></success>")
	f("<success xmlns='urn:xmpp:sasl:2'><token xmlns='urn:xmpp:fast:0' token='s3cr3t'/><resumed xmlns='urn:xmpp:sm:3' previd='s3cr3t'/></success>")
	f("<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>u</username><password>s3cr3t</password><digest>s3cr3t</digest></query></iq>", "id='1'")
	f("<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>u</username><password>s3cr3t</password><key>s3cr3t</key></query></iq>", "id='1'")
	f("<iq type='set'><reg:query><reg:password>s3cr3t</reg:password></reg:query></iq>")
	f("<iq type='set'><query xmlns='jabber:iq:r&#101;gister'><a>s3cr3t</a></query></iq>")
	f("<iq type='set'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'><field var='email'><value>s3cr3t</value></field></x></query></iq>")
	f("<iq type='error'><query xmlns='jabber:iq:register'><x>s3cr3t</x></query><error type='modify'/></iq>")
	f("<iq type='set'><x xmlns='jabber:x:data'><field type='text-private' var='a'><value>s3cr3t</value></field><field var='b'><value>visible</value></field></x></iq>", "visible")
	f("<iq type='set'><x xmlns='jabber:x:data'><field var='muc#roomconfig_roomSecret'><value>s3cr3t</value></field></x></iq>")
	f("<iq type='set'><x xmlns='jabber:x:data'><field var='pass&#119;ord-verify'><value>s3cr3t</value></field></x></iq>")
	f("<iq type='set'><command node='http://jabber.org/protocol/admin#change-user-password'><value>s3cr3t</value></command></iq>")
	f("<iq type='result'><command node='urn:xmpp:invite#invite'><x><field var='uri'><value>s3cr3t</value></field></x></command></iq>")
	f("<presence to='room@muc/nick'><x xmlns='http://jabber.org/protocol/muc'><password>s3cr3t</password></x><status>visible</status></presence>", "visible", "room@muc/nick")
	f("<message><x xmlns='jabber:x:conference' jid='r@muc' password='s3cr3t' reason='visible'/></message>", "visible", "r@muc")
	f("<message><x xmlns:a='u' a:PassWord=\"s3cr3t\"/></message>")
	f("<iq><slot xmlns='urn:xmpp:http:upload:0'><put url='https://s3cr3t'><header name='Cookie'>s3cr3t</header></put><get url='s3cr3t'/></slot></iq>")
	f("<iq><services xmlns='urn:xmpp:extdisco:2'><service username='s3cr3t' password='s3cr3t'/></services></iq>")
	f("<iq><enable xmlns='urn:xmpp:push:0' jid='p@q' node='s3cr3t'/></iq>")
	f("<iq><header name='Authorization'>s3cr3t</header></iq>")
	f("<iq><auth-token>s3cr3t</auth-token></iq>")
	f("<enabled xmlns='urn:xmpp:sm:3' id='s3cr3t' resume='true'/>")
	f("<resume xmlns='urn:xmpp:sm:3' previd='s3cr3t' h='1'/>")
	f("<iq><confirm xmlns='http://jabber.org/protocol/http-auth' id='s3cr3t' method='GET' url='u'/></iq>")
	f("<iq><preauth xmlns='urn:xmpp:pars:0' token='s3cr3t'/></iq>")
	f("<iq><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' pwd='s3cr3t' ufrag='u'/></iq>")
	f("<iq><crypto key-params='inline:s3cr3t'/></iq>")
}

// TestNotParsed: of what cannot be parsed nothing is shown.
func TestNotParsed(t *testing.T) {
	f := func(scope, unit string) {
		t.Helper()
		r := New()
		r.Text = true
		if got, ok := r.Append(nil, []byte(scope), []byte(unit)); ok || len(got) > 0 {
			t.Errorf("%q: %q %v", unit, got, ok)
		}
		// It is as ready as before for the next one.
		if got, ok := r.Append(nil, []byte(scope[:len(" xmlns='jabber:client'")]), []byte("<a>x</a>")); !ok || string(got) != "<a>x</a>" {
			t.Errorf("after %q: %q %v", unit, got, ok)
		}
	}
	for _, unit := range []string{
		"", " ", "text", "<message>", "<message><body>x</body>", "<a/><b/>", "<a/> ", "</stream>", "<a><!-- x --></a>", "<!-- x --><a/>", "<?x y?><a/>",
		"<!DOCTYPE a><a/>", "<a>&x;</a>", "<a b='c' b='d'/>", "<x:a/>", "<a>\x00</a>", "<a>\xff</a>", "</stream:stream> ", "<a>x</b>",
	} {
		f(scope, unit)
	}
	f(" xmlns='jabber:client' x=", "<a/>")
	f(" xmlns='jabber:client'/", "<a/>")
}

// TestAppendStart: of a unit that was cut only the start tag is shown.
func TestAppendStart(t *testing.T) {
	f := func(unit, want string, ok bool) {
		t.Helper()
		if got, is := New().AppendStart([]byte("> "), []byte(scope), []byte(unit)); is != ok || string(got) != "> "+want {
			t.Errorf("%s: %s %v, want %s %v", unit, got, is, want, ok)
		}
	}
	f("<message to='a@b' title='x'><body>hel", "<message to='a@b' title='…'>…", true)
	f(`<message id='>"' type=">"><body/></message><x/>`, `<message id='>"' type=">">…`, true)
	f("<auth mechanism='PLAIN'>abc", "<auth mechanism='***'>…", true)
	f("<message to='a@b", "", false)
	f("<message to='a@b'", "", false)
	f("<message to=a>", "", false)
	f("", "", false)
	f("</message>", "", false)
}

// FuzzAppend: without Text, all text of the result is a placeholder, and so are the values
// of attributes that are not always shown; with Text, those of credentials. The markup is
// that of the unit.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{
		"<message to='a' x='b'><body>c&lt;d</body><![CDATA[e]]>f</message>", "<a><b>x</b> y<b/>z</a>", "</stream:stream>",
		"<iq><query xmlns='jabber:iq:register'><password>x</password></query></iq>", "<p:iq xmlns:p='jabber:iq:auth' p:a='x'>y</p:iq>",
		"<iq><x xmlns='jabber:x:data'><field type='text-private'><value>x</value></field></x></iq>", "<a><!-- x --></a>", "<stream:error><text>x</text></stream:error>",
	} {
		f.Add(s)
	}
	r := New()
	f.Fuzz(func(t *testing.T, unit string) {
		if len(unit) > maxShown {
			t.Skip("a namespace may be hidden, and then names differ")
		}
		for _, r.Text = range []bool{false, true} {
			got, ok := r.Append(nil, []byte(scope), []byte(unit))
			if !ok {
				if len(got) > 0 {
					t.Fatalf("%q: %q was appended", unit, got)
				}
				continue
			}
			if unit == closeTag {
				return
			}
			before, after := read(t, unit), read(t, string(got))
			if before.names != after.names {
				t.Fatalf("%q became %q: %s, want %s", unit, got, after.names, before.names)
			}
			after.check(t, unit, r.Text)
		}
		// The start tag alone, of a unit that is cut somewhere.
		r.Text = false
		if got, ok := r.AppendStart(nil, []byte(scope), []byte(unit)); ok && strings.HasSuffix(string(got), ">"+Hidden) {
			start := strings.TrimSuffix(string(got), ">"+Hidden) + "/>"
			doc := read(t, start)
			doc.check(t, unit, false)
		} else if ok || len(got) > 0 {
			t.Fatalf("%q: %q %v", unit, got, ok)
		}
	})
}

// document is what encoding/xml reads.
type document struct {
	names string // of elements and attributes, in order
	parts []part
}

// part is text or the value of an attribute.
type part struct {
	attr, value string // attr: empty for text
	secret      bool   // of a credential
}

// secret are some of the namespaces of credentials.
var secretOnes = []string{"jabber:iq:register", "jabber:iq:auth", "urn:ietf:params:xml:ns:xmpp-sasl"}

func read(t *testing.T, unit string) (doc document) {
	d := xml.NewDecoder(strings.NewReader("<stream" + scope + ">" + unit + "</stream>"))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var open []bool // secret
	for {
		token, err := d.Token()
		if err == io.EOF {
			return doc
		}
		if err != nil {
			t.Skip("encoding/xml refuses it:", err)
		}
		secret := len(open) > 0 && open[len(open)-1]
		switch k := token.(type) {
		case xml.StartElement:
			secret = secret || slices.Contains(secretOnes, k.Name.Space)
			open = append(open, secret)
			doc.names += fmt.Sprintf("<%q %q", k.Name.Space, k.Name.Local)
			for _, a := range k.Attr {
				if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
					continue
				}
				doc.names += fmt.Sprintf(" %q %q", a.Name.Space, a.Name.Local)
				doc.parts = append(doc.parts, part{a.Name.Space + " " + a.Name.Local, a.Value, secret})
			}
		case xml.EndElement:
			doc.names += ">"
			open = open[:max(0, len(open)-1)]
		case xml.CharData:
			doc.parts = append(doc.parts, part{"", string(k), secret})
		default:
			t.Fatalf("%T in %q", token, unit)
		}
	}
}

// check checks that what is to be hidden is not there.
func (doc *document) check(t *testing.T, unit string, text bool) {
	for _, p := range doc.parts {
		rest := strings.TrimSpace(strings.NewReplacer(Hidden, "", Secret, "").Replace(p.value))
		name, always := strings.CutPrefix(p.attr, " ")
		always = p.attr != "" && (always && shown[name] || p.attr == "http://www.w3.org/XML/1998/namespace lang") && !p.secret
		if rest != "" && !always && (!text || p.secret) {
			t.Fatalf("%q: %q shows %q", unit, p.attr, p.value)
		}
	}
}
