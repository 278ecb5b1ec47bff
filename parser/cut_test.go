package parser

import "testing"

// TestCuts: the result and the tokens do not depend on how the bytes are split: whole,
// byte by byte, in two at every position, in three at every two positions.
func TestCuts(t *testing.T) {
	s := NewScratch(Limits{})
	for _, sample := range samples {
		whole := testHeader + sample
		want := play(s, whole)
		if got := play(s, bytewise(whole)...); got != want {
			t.Errorf("%q byte by byte:\n%s\nwhole:\n%s", sample, got, want)
		}
		for i := 1; i < len(whole); i++ {
			if got := play(s, whole[:i], whole[i:]); got != want {
				t.Fatalf("%q cut at %d:\n%s\nwhole:\n%s", sample, i, got, want)
			}
		}
		// Splits within the header are the same for all samples.
		for i := len(testHeader) - 1; i < len(whole); i++ {
			for k := i + 1; k < len(whole); k++ {
				if got := play(s, whole[:i], whole[i:k], whole[k:]); got != want {
					t.Fatalf("%q cut at %d and %d:\n%s\nwhole:\n%s", sample, i, k, got, want)
				}
			}
		}
	}
}

// TestCutHeader: the same for the beginning of a stream, at every two positions.
func TestCutHeader(t *testing.T) {
	s := NewScratch(Limits{})
	for _, whole := range headers {
		want := play(s, whole)
		for i := 0; i < len(whole); i++ {
			for k := i + 1; k <= len(whole); k++ {
				if got := play(s, whole[:i], whole[i:k], whole[k:]); got != want {
					t.Fatalf("%q cut at %d and %d:\n%s\nwhole:\n%s", whole, i, k, got, want)
				}
			}
		}
	}
}

var headers = []string{
	testHeader,
	"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><a/></stream:stream>",
	" \n<stream xmlns='http://etherx.jabber.org/streams'/>", "<s/ >", "<s/", "<s/><a/>", "<s/>\xff", "<s/> ", "<p:s/>",
	"<?xml version=\"1.0\" encoding='utf-8' standalone = 'yes' ?>\n<s>", "<?xml version='1.1'?><s>", "<?xml version='2.0'?><s>", "<?xml encoding='UTF-8'?><s>",
	"<?xml version='1.0' encoding='ISO-8859-1'?><s>", "<?xml version='1.0' encoding='-'?><s>", "<?xml version='1.0' standalone='maybe'?><s>", "<?xml version='1.0' x='y'?><s>",
	"<?xml version='1.0'encoding='UTF-8'?><s>", "<?xml version='1.0' encoding='UTF-8' version='1.0'?><s>", "<?xml version='1.0'>", "<?xml version='1.0'<", "<?xml \x01", "<?xml \xc3\xa9",
	"<?xml?>", "<?xmlx version='1.0'?>", "<?XML version='1.0'?>", "<?x?>", " <?xml version='1.0'?><s>", "<?xml version='1.0'?><?xml version='1.0'?><s>", "<?xml version='1.'?>", "<?xml version='1.0?>",
	"<?xml version '1.0'?>", "<?xml version=1.0?>", "<!DOCTYPE s><s>", "<!-- x --><s>", "<![CDATA[x]]>", "x<s>", "</s>", "\xef\xbb\xbf<s>", "\xfe\xff\x00<", "\xff\xfe<\x00", "\x00<\x00s", "<\x00s\x00", "\xc3\xa9", "\xc3<", "\x1f", "&amp;<s>",
	"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "<s a='1' a='2'>", "<s xmlns:p='u' xmlns:q='v' q:a=''><p:b/></s>", "<s xmlns:a='u' xmlns:b='u'><m a:x='' b:x=''/>",
	"<s xmlns='a&amp;b' xmlns:p='&#x75;'><m p:x=''><p:n/></m></s>", "<é:s xmlns:é='u'><é:m/></é:s>",
}

// TestCutsAtLimit: limits take effect at the same byte, even in the middle of characters,
// names and references.
func TestCutsAtLimit(t *testing.T) {
	s := NewScratch(Limits{})
	for _, limit := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20} {
		s.limits.MaxStanza = limit
		for _, whole := range append(headers, samples...) {
			want := play(s, whole)
			if got := play(s, bytewise(whole)...); got != want {
				t.Fatalf("%d bytes, %q byte by byte:\n%s\nwhole:\n%s", limit, whole, got, want)
			}
			for i := 1; i < min(len(whole), 40); i++ {
				if got := play(s, whole[:i], whole[i:]); got != want {
					t.Fatalf("%d bytes, %q cut at %d:\n%s\nwhole:\n%s", limit, whole, i, got, want)
				}
			}
		}
	}
	s.limits.MaxStanza = 1000
	for _, l := range []Limits{{MaxName: 3}, {MaxAttrs: 2}, {MaxDepth: 1}, {MaxNamespaces: 2}} {
		s.limits.MaxName, s.limits.MaxAttrs, s.limits.MaxDepth, s.limits.MaxNamespaces = max(l.MaxName, 3), max(l.MaxAttrs, 2), max(l.MaxDepth, 1), max(l.MaxNamespaces, 1)
		for _, sample := range samples {
			whole := "<s xmlns:x='y'>" + sample
			if want, got := play(s, whole), play(s, bytewise(whole)...); got != want {
				t.Fatalf("%+v, %q byte by byte:\n%s\nwhole:\n%s", l, whole, got, want)
			}
		}
	}
}

// TestPaths: the vector kernel and the portable code yield the same result and tokens.
func TestPaths(t *testing.T) {
	if !HasVector() {
		t.Skip("this machine has no vector kernel")
	}
	defer UseVector(UseVector(true))
	s := NewScratch(Limits{})
	for _, sample := range samples {
		whole := testHeader + sample
		UseVector(true)
		want := play(s, whole)
		UseVector(false)
		if got := play(s, whole); got != want {
			t.Errorf("%q portable:\n%s\nvector:\n%s", sample, got, want)
		}
	}
}
