package leantls

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

var suites = []suite{aes128, aes256, chacha20}

// pair returns a session and its peer, which is the same with exchanged halves.
func pair(t testing.TB, use suite) (server, client *State) {
	t.Helper()
	var a, b [maxSecret]byte
	_, _ = rand.Read(a[:])
	_, _ = rand.Read(b[:])
	server, client = new(State), new(State)
	n := use.secretLen()
	server.read.start(use, a[:n], 0)
	client.write.start(use, a[:n], 0)
	server.write.start(use, b[:n], 0)
	client.read.start(use, b[:n], 0)
	return server, client
}

// record seals one record with any inner plaintext: content, type, padding.
func (h *half) record(inner []byte) []byte {
	k := h.keys()
	n := len(inner) + tagLen
	head := []byte{typeData, 3, 3, byte(n >> 8), byte(n)}
	out := k.aead.Seal(append([]byte(nil), head...), k.nonceFor(h.seq), inner, head)
	h.seq++
	return out
}

func inner(typ byte, content string) []byte { return append([]byte(content), typ) }

func (s *State) openOne(record []byte) (Kind, []byte, error) {
	return s.Open(s.ReadKeys(nil), record)
}

// TestStateSize limits the size, and checks that the state contains no pointers for the
// garbage collector.
func TestStateSize(t *testing.T) {
	if n := unsafe.Sizeof(State{}); n > 128 {
		t.Errorf("a State takes %d bytes, the budget is 128", n)
	}
	var pointers func(typ reflect.Type) bool
	pointers = func(typ reflect.Type) bool {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				if pointers(typ.Field(i).Type) {
					return true
				}
			}
			return false
		case reflect.Array:
			return pointers(typ.Elem())
		default:
			return typ.Kind() > reflect.Complex128
		}
	}
	if pointers(reflect.TypeFor[State]()) {
		t.Error("a State has pointers")
	}
}

// TestNonce: RFC 8446 section 5.3 (https://www.rfc-editor.org/rfc/rfc8446#section-5.3),
// the IV XOR the sequence number.
func TestNonce(t *testing.T) {
	k := &Keys{iv: [nonceLen]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xff}}
	for _, c := range []struct {
		seq  uint64
		want [nonceLen]byte
	}{
		{0, [nonceLen]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xff}},
		{1, [nonceLen]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfe}},
		{0x0102030405060708, [nonceLen]byte{1, 2, 3, 4, 4, 4, 4, 12, 12, 12, 12, 0xf7}},
		{math.MaxUint64, [nonceLen]byte{1, 2, 3, 4, 0xfa, 0xf9, 0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0}},
	} {
		if got := k.nonceFor(c.seq); !bytes.Equal(got, c.want[:]) {
			t.Errorf("sequence number %d: nonce %x, want %x", c.seq, got, c.want)
		}
	}
}

// TestSequence: the number increases by one with each record opened or sealed, not with a
// failed one, and only a new key resets it.
func TestSequence(t *testing.T) {
	for _, use := range suites {
		s, c := pair(t, use)
		for want := range uint64(3) {
			if s.read.seq != want {
				t.Fatalf("sequence number %d, want %d", s.read.seq, want)
			}
			if kind, p, err := s.openOne(c.write.record(inner(typeData, "x"))); kind != Data || string(p) != "x" || err != nil {
				t.Fatalf("%v %q %v", kind, p, err)
			}
		}
		before := s.read.secret
		if _, _, err := s.openOne(c.write.record(inner(typeHandshake, keyUpdate+"\x00"))); err != nil {
			t.Fatal(err)
		}
		if s.read.seq != 0 || s.read.gen != 1 || s.read.secret == before {
			t.Error("a KeyUpdate did not begin a new key at 0")
		}
		out, _, err := s.Seal(nil, nil, bytes.Repeat([]byte("a"), 2*MaxData+1))
		if err != nil || s.write.seq != 3 {
			t.Errorf("%d records for two and a bit: %v", s.write.seq, err)
		}
		for want := uint64(1); len(out) > 0; want++ {
			n, err := RecordLen(out)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.openOne(out[:n]); err != nil || c.read.seq != want {
				t.Fatalf("record %d: %v", want, err)
			}
			out = out[n:]
		}
	}
}

// TestSequenceEnds: the number never wraps.
func TestSequenceEnds(t *testing.T) {
	s, c := pair(t, aes128)
	s.read.seq, c.write.seq = math.MaxUint64, math.MaxUint64
	_, _, err := s.openOne(c.write.record(inner(typeData, "x")))
	if err != errWrapped || s.read.suite != 0 {
		t.Errorf("record 2^64-1: %v", err)
	}
	s, _ = pair(t, aes128)
	s.write.seq, s.write.gen = maxSealed, math.MaxUint32
	if _, _, err := s.Seal(nil, nil, []byte("x")); err != errWrapped || s.CanSeal() {
		t.Errorf("key 2^32: %v", err)
	}
}

// TestOwnKeyUpdate: after 2^24 records the key is changed, before the next one.
func TestOwnKeyUpdate(t *testing.T) {
	for _, use := range suites {
		s, c := pair(t, use)
		s.write.seq, c.read.seq = maxSealed-1, maxSealed-1
		for i := range 2 {
			out, _, err := s.Seal(nil, nil, []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := openAll(t, c, out), [][]Kind{{Data}, {Nothing, Data}}[i]; !reflect.DeepEqual(got, want) {
				t.Errorf("record 2^24-1+%d: %v, want %v", i, got, want)
			}
		}
		if s.write.gen != 1 || s.write.seq != 1 {
			t.Errorf("generation %d, record %d", s.write.gen, s.write.seq)
		}
	}
}

func openAll(t testing.TB, s *State, p []byte) (kinds []Kind) {
	t.Helper()
	for len(p) > 0 {
		n, err := RecordLen(p)
		if err != nil || n == 0 || n > len(p) {
			t.Fatalf("no record: %d %v", n, err)
		}
		kind, _, err := s.openOne(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, kind)
		p = p[n:]
	}
	return kinds
}

// TestKeysAreBound: keys of an earlier generation, of the other direction or of another
// session are replaced, and cannot be used.
func TestKeysAreBound(t *testing.T) {
	s, c := pair(t, aes128)
	other, _ := pair(t, aes128)
	k := s.ReadKeys(nil)
	if s.ReadKeys(k) != k {
		t.Error("valid keys were derived again")
	}
	if _, _, err := s.Open(k, c.write.record(inner(typeHandshake, keyUpdate+"\x00"))); err != nil {
		t.Fatal(err)
	}
	_ = c.write.nextSecret()
	for desc, wrong := range map[string]*Keys{
		"earlier": k, "other direction": s.write.current(nil), "other session": other.ReadKeys(nil), "none": nil,
	} {
		if s.ReadKeys(wrong) == wrong {
			t.Error(desc + ": the keys were accepted")
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error(desc + ": Open used the keys")
				}
			}()
			_, _, _ = s.Open(wrong, c.write.record(inner(typeData, "x")))
		}()
	}
	out, _, err := s.Seal(k, nil, []byte("x")) // Seal checks the keys itself
	if err != nil || !reflect.DeepEqual(openAll(t, c, out), []Kind{Data}) {
		t.Errorf("Seal with other keys: %v", err)
	}
	// Another session at the same address, after the end of the first and instead of it.
	rx, tx := s.ReadKeys(nil), s.write.current(nil)
	s.Wipe()
	s.read.start(aes128, make([]byte, 32), 0)
	s.write.start(aes128, make([]byte, 32), 0)
	if s.ReadKeys(rx) == rx || s.write.current(tx) == tx {
		t.Error("keys of the previous session were accepted")
	}
	rx = s.ReadKeys(nil)
	s.read.start(aes128, make([]byte, 32), 0)
	if s.ReadKeys(rx) == rx {
		t.Error("keys of a session that was replaced were accepted")
	}
	s.Wipe()
	if s.ReadKeys(nil) != nil || s.write.current(nil) != nil || s.ReadKeys(k) != nil {
		t.Error("keys exist after the end")
	}
}

// TestNotCopied: vet reports a copy of a State.
func TestNotCopied(t *testing.T) {
	out, err := exec.Command("go", "vet", "-copylocks", "./testdata/copied").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "copies lock value") {
		t.Errorf("vet accepts a copy: %v\n%s", err, out)
	}
}

// TestEnd: the last record is an alert; after it nothing is sealed and the secret is
// erased. Only one alert is sent.
func TestEnd(t *testing.T) {
	for _, alert := range []Alert{CloseNotify, BadRecordMAC} {
		s, c := pair(t, aes128)
		out := s.End(nil, nil, alert)
		_, p, _ := c.ReadKeys(nil).open(0, bytes.Clone(out))
		// RFC 8446 section 6.2 (https://www.rfc-editor.org/rfc/rfc8446#section-6.2):
		// "Error alerts indicate closure of the connection", and their level is fatal.
		if level := byte(2); len(p) != 2 || (p[0] == level) == (alert == CloseNotify) {
			t.Errorf("alert %d: %x", alert, p)
		}
		kind, _, err := c.openOne(out)
		if alert == CloseNotify && (kind != Closed || err != nil) || alert != CloseNotify && err != PeerError(alert) {
			t.Errorf("alert %d: %v %v", alert, kind, err)
		}
		if s.CanSeal() || s.write.secret != [maxSecret]byte{} {
			t.Error("the secret was not erased after the alert")
		}
		if more := s.End(nil, nil, InternalError); len(more) != 0 {
			t.Error("a second alert")
		}
		if _, _, err := s.Seal(nil, nil, []byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("data after an alert: %v", err)
		}
	}
}
