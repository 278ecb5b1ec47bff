package sessiondata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"reflect"
	"slices"
	"testing"
)

// example has something in every field, and the largest numbers.
func example() *Session {
	return &Session{
		Address: []byte("romeo@example.net/orchard"), Number: math.MaxUint32, Handled: math.MaxUint32, Sent: 7, Unsent: 1,
		Wait: 255, Until: math.MaxInt64, Event: 1 << 31, Presence: []byte("<presence/>"), Priority: -128,
		Stanzas: []Stanza{
			{Text: []byte("<message><body>one</body></message>"), At: 1, ID: math.MinInt64, Flags: 255},
			{Text: []byte("<iq type='get'/>"), At: math.MaxInt64},
		},
		Additions: []Addition{{Name: "carbons", Data: []byte{1}}, {Name: "directed", Data: []byte("juliet@example.com")}},
	}
}

// TestSession: a session is read as it was written. A zero one is, too.
func TestSession(t *testing.T) {
	for _, want := range []*Session{example(), {Address: []byte{}}} {
		b := AppendSession([]byte("before"), want)[len("before"):]
		if k, err := KindOf(b); k != SessionKind || err != nil {
			t.Errorf("kind %d, %v", k, err)
		}
		got, err := ParseSession(b)
		if err != nil || !reflect.DeepEqual(&got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

// TestServer: so is a server.
func TestServer(t *testing.T) {
	want := Server{Event: math.MaxInt64, Stopped: 1 << 40}
	b := AppendServer(nil, &want)
	if got, err := ParseServer(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseSession(b); !errors.Is(err, ErrDamaged) {
		t.Errorf("a server as a session: %v", err)
	}
	for i := range b {
		if _, err := ParseServer(b[:i]); err == nil {
			t.Errorf("%d of %d bytes: no error", i, len(b))
		}
	}
}

// TestDamage: whatever byte is changed or missing, the error says so, and what is read is
// what was written.
func TestDamage(t *testing.T) {
	want := example()
	b := AppendSession(nil, want)
	check := func(what string, damaged []byte) {
		t.Helper()
		got, err := ParseSession(damaged)
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		if !errors.Is(err, ErrLoss) {
			return
		}
		if !bytes.Equal(got.Address, want.Address) || len(got.Stanzas) >= len(want.Stanzas) && bytes.Equal(damaged, b) {
			t.Errorf("%s: %+v", what, got)
		}
		for _, x := range got.Stanzas {
			if !reflect.DeepEqual(x, want.Stanzas[0]) && !reflect.DeepEqual(x, want.Stanzas[1]) {
				t.Errorf("%s: stanza %+v", what, x)
			}
		}
	}
	for i := range b {
		check(fmt.Sprintf("cut at %d", i), b[:i])
		for bit := range 8 {
			damaged := bytes.Clone(b)
			damaged[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d", bit, i), damaged)
		}
	}
	check("more", append(bytes.Clone(b), 0))
}

// TestLoss: if one stanza is damaged, the other is read.
func TestLoss(t *testing.T) {
	b := AppendSession(nil, example())
	b[bytes.Index(b, []byte("one"))]++
	got, err := ParseSession(b)
	if !errors.Is(err, ErrLoss) || len(got.Stanzas) != 1 || !bytes.HasPrefix(got.Stanzas[0].Text, []byte("<iq")) {
		t.Errorf("%v, %+v", err, got.Stanzas)
	}
}

// TestLaterVersion: fields that are not known are ignored; a unit of another version is
// not read.
func TestLaterVersion(t *testing.T) {
	b := appendPrefix(nil, SessionKind)
	b = appendBytes(b, 200, []byte("new"))
	b = appendBytes(b, tagAddress, []byte("a@b/c"))
	b = endHead(b, 0, len(b)-prefixSize, 0)
	if got, err := ParseSession(b); err != nil || string(got.Address) != "a@b/c" {
		t.Errorf("%+v, %v", got, err)
	}
	b[0]++
	if _, err := ParseSession(b); !errors.Is(err, ErrVersion) {
		t.Errorf("%v", err)
	}
}

// TestUnits: units are found one after another, whatever is damaged in the one before.
func TestUnits(t *testing.T) {
	second := AppendServer(nil, &Server{Event: 1})
	third := AppendSession(nil, &Session{Address: []byte("a@b/c")})
	first := AppendSession(nil, example())
	all := slices.Concat(first, second, third)
	if got := slices.Collect(Units(all)); len(got) != 3 || !bytes.Equal(got[0], first) || !bytes.Equal(got[1], second) || !bytes.Equal(got[2], third) {
		t.Errorf("%q", got)
	}
	for i := range first {
		damaged := bytes.Clone(all)
		damaged[i] ^= 4
		got := slices.Collect(Units(damaged))
		if len(got) < 3 || !bytes.Equal(got[len(got)-2], second) || !bytes.Equal(got[len(got)-1], third) || !bytes.Equal(slices.Concat(got...), damaged) {
			t.Errorf("byte %d: %q", i, got)
		}
	}
	for i := range all {
		if got := slices.Concat(slices.Collect(Units(all[:i]))...); !bytes.Equal(got, all[:i]) {
			t.Errorf("cut at %d: %q", i, got)
		}
	}
	later := bytes.Clone(first)
	later[0]++ // the version
	later = endHead(later[:prefixSize+int(binary.LittleEndian.Uint32(later[2:]))], 0, int(binary.LittleEndian.Uint32(later[2:])), 0)
	if got := slices.Collect(Units(slices.Concat(later, third))); len(got) != 2 || !bytes.Equal(got[1], third) {
		t.Errorf("after one of another version: %q", got)
	}
}

// FuzzParse: whatever is read is written and read again the same; nothing makes a reader
// panic or allocate more than a few times the size of its input.
func FuzzParse(f *testing.F) {
	f.Add(AppendSession(nil, example()), false)
	f.Add(AppendServer(nil, &Server{Event: 1}), false)
	f.Add(appendBytes(appendPrefix(nil, SessionKind), tagAddition, []byte{200}), true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if got := slices.Concat(slices.Collect(Units(b))...); !bytes.Equal(got, b) {
			t.Errorf("the units of %q are %q", b, got)
		}
		if fix {
			b = fixed(b)
		}
		if s, err := ParseSession(b); err == nil {
			again, err := ParseSession(AppendSession(nil, &s))
			if err != nil || !bytes.Equal(again.Address, s.Address) || len(again.Stanzas) != len(s.Stanzas) || len(again.Additions) != len(s.Additions) {
				t.Errorf("%+v again: %+v, %v", s, again, err)
			}
		}
		if s, err := ParseServer(b); err == nil {
			if again, err := ParseServer(AppendServer(nil, &s)); err != nil || again.Event != s.Event {
				t.Errorf("%+v again: %+v, %v", s, again, err)
			}
		}
	})
}

// fixed makes lengths and checksums of a unit correct, so that its fields are read.
func fixed(b []byte) []byte {
	if len(b) < prefixSize {
		return b
	}
	b = bytes.Clone(b)
	b[0], b[1] = Version, byte(SessionKind)+b[1]%2
	head := min(int(b[2]), len(b)-prefixSize)
	queue := b[prefixSize+head:]
	fixed := binary.LittleEndian.AppendUint32(endHead(b[:prefixSize+head:prefixSize+head], 0, head, len(queue)), 0)
	fixed = append(fixed[:len(fixed)-4], queue...)
	if rest := fixed[prefixSize+head+checksumSize:]; len(rest) >= stanzaHeader+checksumSize {
		n := len(rest) - stanzaHeader - checksumSize
		binary.LittleEndian.PutUint32(rest, uint32(n))
		binary.LittleEndian.PutUint32(rest[stanzaHeader+n:], crc32.Checksum(rest[:stanzaHeader+n], castagnoli))
	}
	return fixed
}
