package jid

import (
	"errors"
	"strings"
	"testing"
)

// good are valid addresses and their normalized forms; same means unchanged. The first
// are those of RFC 7622 section 3.5, table 1
// (https://www.rfc-editor.org/rfc/rfc7622#section-3.5).
const same = "="

var good = []struct {
	desc, in, local, domain, resource string
	want                              string
}{
	{"rfc 1: bare JID", "juliet@example.com", "juliet", "example.com", "", same},
	{"rfc 2: full JID", "juliet@example.com/foo", "juliet", "example.com", "foo", same},
	{"rfc 3: single space in resourcepart", "juliet@example.com/foo bar", "juliet", "example.com", "foo bar", same},
	{"rfc 4: at sign in resourcepart", "juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar", same},
	{"rfc 5: single space in localpart, by XEP-0106", `foo\20bar@example.com`, `foo\20bar`, "example.com", "", same},
	{"rfc 6: another bare JID", "fussball@example.com", "fussball", "example.com", "", same},
	{"rfc 7: another localpart, not that of 6", "fu\u00dfball@example.com", "fu\u00dfball", "example.com", "", same},
	{"rfc 8: Greek letter pi", "\u03c0@example.com", "\u03c0", "example.com", "", same},
	{"rfc 9: capital sigma", "\u03a3@example.com/foo", "\u03c3", "example.com", "foo", "\u03c3@example.com/foo"},
	{"rfc 10: small sigma", "\u03c3@example.com/foo", "\u03c3", "example.com", "foo", same},
	{"rfc 11: final sigma, not that of 10", "\u03c2@example.com/foo", "\u03c2", "example.com", "foo", same},
	{"rfc 12: chess king in resourcepart", "king@example.com/\u265a", "king", "example.com", "\u265a", same},
	{"rfc 13: a domainpart", "example.com", "", "example.com", "", same},
	{"rfc 14: domainpart and resourcepart", "example.com/foobar", "", "example.com", "foobar", same},
	{"rfc 15: domainpart, and resourcepart with at sign", "a.example.com/b@example.net", "", "a.example.com", "b@example.net", same},
	// Table 2 lists this as number 18, but no rule of RFC 7622 or RFC 8265 forbids it,
	// and rejecting it would lock out clients that bind such a resource.
	{"rfc 18: leading space in resourcepart", "juliet@example.com/ foo", "juliet", "example.com", " foo", same},

	{"upper case", "Juliet@Example.COM/Balcony", "juliet", "example.com", "Balcony", "juliet@example.com/Balcony"},
	{"one label", "a@localhost", "a", "localhost", "", same},
	{"slashes in resourcepart", "a@b//c/", "a", "b", "/c/", same},
	{"localpart with all that ASCII allows", "!#$%()*+,-.0123456789;=?[\\]^_`az{|}~@b", "!#$%()*+,-.0123456789;=?[\\]^_`az{|}~", "b", "", same},
	{"resourcepart with all of ASCII", "a@b/ !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", "a", "b", " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", same},
	{"digits and hyphens in a label", "a@1-2--a.3", "a", "1-2--a.3", "", same},
	{"trailing dot", "a@example.com./r", "a", "example.com", "r", "a@example.com/r"},
	{"trailing dot of a domain", "example.com.", "", "example.com", "", "example.com"},
	{"IPv4", "a@192.0.2.1", "a", "192.0.2.1", "", same},
	{"IPv6", "a@[2001:db8::1]/r", "a", "[2001:db8::1]", "r", same},
	{"IPv6, long form", "[2001:0DB8:0:0:0:0:0:1]", "", "[2001:db8::1]", "", "[2001:db8::1]"},
	{"IPv6 with IPv4", "[::ffff:192.0.2.1]", "", "[::ffff:192.0.2.1]", "", same},
	{"A-label becomes U-label", "a@xn--bcher-kva.example", "a", "b\u00fccher.example", "", "a@b\u00fccher.example"},
	{"U-label", "a@b\u00fccher.example", "a", "b\u00fccher.example", "", same},
	{"U-label in upper case", "a@B\u00dcCHER.example", "a", "b\u00fccher.example", "", "a@b\u00fccher.example"},
	{"sharp s in a domain is kept", "a@fa\u00df.example", "a", "fa\u00df.example", "", same},
	{"ideographic full stop", "a@example\u3002com", "a", "example.com", "", "a@example.com"},
	{"full width localpart", "\uff41\uff42@example.com", "ab", "example.com", "", "ab@example.com"},
	{"decomposed localpart", "e\u0301@example.com", "\u00e9", "example.com", "", "\u00e9@example.com"},
	{"decomposed resourcepart", "a@b/e\u0301", "a", "b", "\u00e9", "a@b/\u00e9"},
	{"no-break space in resourcepart", "a@b/x\u00a0y", "a", "b", "x y", "a@b/x y"},
	{"resourcepart keeps case and width", "a@b/\uff21\u03a3", "a", "b", "\uff21\u03a3", same},
	{"emoji in resourcepart", "a@b/\U0001F4F1", "a", "b", "\U0001F4F1", same},
	{"Hebrew localpart", "\u05d0\u05d1@example.com", "\u05d0\u05d1", "example.com", "", same},
	{"longest localpart", strings.Repeat("a", 1023) + "@b", strings.Repeat("a", 1023), "b", "", same},
	{"longest resourcepart", "a@b/" + strings.Repeat("r", 1023), "a", "b", strings.Repeat("r", 1023), same},
	{"longest label", "a@" + strings.Repeat("b", 63), "a", strings.Repeat("b", 63), "", same},
	{"longest domainpart", "a@" + strings.Repeat("b.", 511) + "b", "a", strings.Repeat("b.", 511) + "b", "", same},
	{"localpart of the longest size before mapping", strings.Repeat("\uff41", 341) + "@b", strings.Repeat("a", 341), "b", "", strings.Repeat("a", 341) + "@b"},
}

func TestParse(t *testing.T) {
	for _, tt := range good {
		want := tt.want
		if want == same {
			want = tt.in
		}
		check := func(how string, j JID, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %s: %v", tt.desc, how, err)
				return
			}
			if j.String() != want || j.Local() != tt.local || j.Domain() != tt.domain || j.Resource() != tt.resource {
				t.Errorf("%s: %s: got %q = %q %q %q", tt.desc, how, j, j.Local(), j.Domain(), j.Resource())
			}
		}
		j, err := Parse(tt.in)
		check("Parse", j, err)
		b, err := ParseBytes([]byte(tt.in))
		check("ParseBytes", b, err)
		slow, err := parseSlow(tt.in)
		check("parseSlow", slow, err)
		n, err := New(tt.local, tt.domain, tt.resource)
		check("New", n, err)
		if j != b || j != n || j != slow {
			t.Errorf("%s: equal addresses are not ==", tt.desc)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	f := func(desc, in string, want error) {
		t.Helper()
		j, err := Parse(in)
		if !errors.Is(err, want) || !j.IsZero() {
			t.Errorf("%s: Parse = %q, %v; want %v", desc, j, err, want)
		}
		if j, err := ParseBytes([]byte(in)); !errors.Is(err, want) || !j.IsZero() {
			t.Errorf("%s: ParseBytes = %q, %v; want %v", desc, j, err, want)
		}
	}
	// RFC 7622 section 3.5, table 2 (https://www.rfc-editor.org/rfc/rfc7622#section-3.5).
	f("rfc 16: quotation marks in localpart", `"juliet"@example.com`, ErrLocalpart)
	f("rfc 17: space in localpart", "foo bar@example.com", ErrLocalpart)
	f("rfc 19: empty localpart and resourcepart", "@example.com/", ErrLocalpart)
	f("rfc 20: compatibility character in localpart", "henry\u2163@example.com", ErrLocalpart)
	f("rfc 21: symbol in localpart", "\u265a@example.com", ErrLocalpart)
	f("rfc 22: localpart only", "juliet@", ErrDomainpart)
	f("rfc 23: resourcepart only", "/foobar", ErrDomainpart)

	f("empty", "", ErrDomainpart)
	f("empty localpart", "@example.com", ErrLocalpart)
	f("empty resourcepart", "a@example.com/", ErrResourcepart)
	f("empty resourcepart of a domain", "example.com/", ErrResourcepart)
	f("two at signs", "a@b@c", ErrDomainpart)
	f("only an at sign", "@", ErrLocalpart)
	f("only a slash", "/", ErrResourcepart)
	for _, c := range "\"&':<>" {
		f("disallowed in localpart", "a"+string(c)+"b@example.com", ErrLocalpart)
	}
	f("full width at sign", "a\uff20b@example.com", ErrLocalpart)
	f("full width solidus", "a\uff0fb@example.com", ErrLocalpart)
	f("full width quotation mark", "a\uff02@example.com", ErrLocalpart)
	f("control in localpart", "a\x00@b", ErrLocalpart)
	f("delete in localpart", "a\x7f@b", ErrLocalpart)
	f("control in resourcepart", "a@b/\t", ErrResourcepart)
	f("not UTF-8 in localpart", "\xff@b", ErrLocalpart)
	f("not UTF-8 in domainpart", "a@b\xff", ErrDomainpart)
	f("not UTF-8 in resourcepart", "a@b/\xc3", ErrResourcepart)
	f("surrogate in resourcepart", "a@b/\xed\xa0\x80", ErrResourcepart)
	f("bidi rule broken in localpart", "\u05d0a@example.com", ErrLocalpart)
	f("space in domainpart", "a@b c", ErrDomainpart)
	f("underscore in domainpart", "a@b_c", ErrDomainpart)
	f("only a dot", "a@.", ErrDomainpart)
	f("leading dot", "a@.b", ErrDomainpart)
	f("empty label", "a@b..c", ErrDomainpart)
	f("two trailing dots", "a@b..", ErrDomainpart)
	f("leading hyphen", "a@-b", ErrDomainpart)
	f("trailing hyphen", "a@b-.c", ErrDomainpart)
	f("hyphens where an A-label has them", "a@ab--c", ErrDomainpart)
	f("bad A-label", "a@xn--\u00fc", ErrDomainpart)
	f("A-label of nothing", "a@xn--", ErrDomainpart)
	f("symbol in domainpart", "a@\u265a\ufe0f\u200d.example", ErrDomainpart)
	f("port", "a@b:5222", ErrDomainpart)
	f("IPv6 without brackets", "a@2001:db8::1", ErrDomainpart)
	f("IPv6 not closed", "a@[::1", ErrDomainpart)
	f("IPv4 in brackets", "a@[192.0.2.1]", ErrDomainpart)
	f("IPv6 with zone", "a@[fe80::1%eth0]", ErrDomainpart)
	f("empty brackets", "a@[]", ErrDomainpart)
	f("one bracket", "a@[", ErrDomainpart)
	f("localpart too long", strings.Repeat("a", 1024)+"@b", ErrLocalpart)
	f("localpart too long in bytes", strings.Repeat("\u00fc", 512)+"@b", ErrLocalpart)
	f("localpart too long before mapping", strings.Repeat("\uff41", 342)+"@b", ErrLocalpart)
	f("resourcepart too long before mapping", "a@b/"+strings.Repeat("u\u0308", 342), ErrResourcepart)
	f("label too long", "a@"+strings.Repeat("b", 64), ErrDomainpart)
	f("U-label too long as A-label", "a@"+strings.Repeat("\u00fc", 60), ErrDomainpart)
	f("label too long in characters", "a@"+wideLabel(64), ErrDomainpart)
	f("domainpart too long before mapping", "a@"+strings.Repeat("\uff22.", 256)+"b", ErrDomainpart)
	f("domainpart too long", "a@"+strings.Repeat("b.", 512)+"b", ErrDomainpart)
	f("resourcepart too long", "a@b/"+strings.Repeat("r", 1024), ErrResourcepart)
	f("very long", "a@b/"+strings.Repeat("\u00fc", 100_000), ErrResourcepart)
}

func TestParts(t *testing.T) {
	full := MustParse("juliet@example.com/balcony")
	bare := full.Bare()
	if bare.String() != "juliet@example.com" || full.BareString() != bare.String() || bare != MustParse("juliet@example.com") {
		t.Errorf("Bare = %q", bare)
	}
	if bare.Bare() != bare || !bare.IsBare() || bare.IsFull() || !bare.IsAccount() || bare.IsZero() {
		t.Errorf("the kind of %q is wrong", bare)
	}
	if !full.IsFull() || full.IsBare() || full.IsAccount() {
		t.Errorf("the kind of %q is wrong", full)
	}
	if d := MustParse("example.com/x"); !d.IsFull() || d.IsAccount() || d.Bare().IsAccount() || !d.Bare().IsBare() {
		t.Errorf("the kind of %q is wrong", d)
	}
	if other, err := full.WithResource("Orchard"); err != nil || other != MustParse("juliet@example.com/Orchard") {
		t.Errorf("WithResource = %q, %v", other, err)
	}
	if other, err := full.WithResource(""); err != nil || other != bare {
		t.Errorf("WithResource of an empty string = %q, %v", other, err)
	}
	if _, err := full.WithResource("\x00"); !errors.Is(err, ErrResourcepart) {
		t.Errorf("WithResource of a control character: %v", err)
	}
	var zero JID
	if !zero.IsZero() || zero.IsBare() || zero.IsFull() || zero.IsAccount() || zero.String() != "" || zero.Domain() != "" || zero.Bare() != zero {
		t.Error("the zero JID is not empty")
	}
}

func TestParseBytesAliases(t *testing.T) {
	b := []byte("a@b/c")
	j, err := ParseBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	kept := j.Clone()
	b[0] = 'x'
	if j.String() != "x@b/c" || kept.String() != "a@b/c" {
		t.Errorf("got %q and %q", j, kept)
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	MustParse("@")
}

// TestDNSName: a domain in the form used by TLS.
func TestDNSName(t *testing.T) {
	for domain, want := range map[string]string{
		"example.org": "example.org", "bücher.example": "xn--bcher-kva.example", "faß.example": "xn--fa-hia.example",
		"192.0.2.1": "192.0.2.1", "[2001:db8::1]": "[2001:db8::1]", "localhost": "localhost",
	} {
		if got := DNSName(domain); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
}
