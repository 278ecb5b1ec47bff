package jid

import "testing"

func FuzzParse(f *testing.F) {
	for _, tt := range good {
		if len(tt.in) < 200 {
			f.Add(tt.in)
		}
	}
	for _, s := range []string{"", "@", "/", "a@", "@a", "a@b/", "a@[::1]", "xn--", "a@b..", "\u05d0@\u05d1", "a@1.\u05d0", "\u200c@b", "\ufdfa@b/\ufdfa"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		j, err := Parse(in)
		b, berr := ParseBytes([]byte(in))
		slow, serr := parseSlow(in)
		if j != b || err != berr {
			t.Fatalf("Parse = %q, %v; ParseBytes = %q, %v", j, err, b, berr)
		}
		// The fast path only shortcuts the slow one: their results must be equal.
		if j != slow || err != serr {
			t.Fatalf("Parse = %q, %v; parseSlow = %q, %v", j, err, slow, serr)
		}
		slowly(t, in)
		if err != nil {
			if !j.IsZero() {
				t.Fatalf("%q with %v", j, err)
			}
			return
		}
		again, err := Parse(j.String())
		if err != nil || again != j {
			t.Fatalf("not idempotent: %q gives %q, %v", j, again, err)
		}
		if slow, err := parseSlow(j.String()); err != nil || slow != j {
			t.Fatalf("not idempotent on the slow path: %q gives %q, %v", j, slow, err)
		}
		parts, err := New(j.Local(), j.Domain(), j.Resource())
		if err != nil || parts != j {
			t.Fatalf("the parts of %q give %q, %v", j, parts, err)
		}
		bare, err := Parse(j.BareString())
		if err != nil || bare != j.Bare() {
			t.Fatalf("the bare JID of %q gives %q, %v", j, bare, err)
		}
		for _, part := range []string{j.Local(), j.Domain(), j.Resource()} {
			if len(part) > MaxPart {
				t.Fatalf("a part of %q has %d bytes", j, len(part))
			}
		}
	})
}

// slowly checks that the slow path does not change what the fast path accepts unchanged.
func slowly(t *testing.T, s string) {
	t.Helper()
	f := func(fast bool, slow func(string) (string, error)) {
		t.Helper()
		if !fast || len(s) == 0 || len(s) > MaxPart {
			return
		}
		if got, err := slow(s); err != nil || got != s {
			t.Fatalf("the fast path accepts %q, the slow one returns %q, %v", s, got, err)
		}
	}
	f(isASCII(s, localOK), localSlow)
	f(isASCII(s, resourceOK), resourceSlow)
	f(domainFast(s), domainSlow)
}

// TestFastIsSlow tries each ASCII character alone, in the middle and at both ends of a
// part.
func TestFastIsSlow(t *testing.T) {
	for c := range 128 {
		x := string(rune(c))
		for _, s := range []string{x, "a" + x, x + "a", "a" + x + "b", "1" + x + "2", "a.b" + x, "abc" + x + "-d", x + x, "ab" + x + x, "ab" + x + x + "c"} {
			slowly(t, s)
		}
	}
}
