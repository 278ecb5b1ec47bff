package leantls

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestRecordLen: a header is rejected at its first invalid byte, and lengths over
// 2^14+256 are rejected.
func TestRecordLen(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int
		err  error
	}{
		{"", 0, nil},
		{"\x17", 0, nil},
		{"\x17\x03\x03\x40", 0, nil},
		{"\x17\x03\x03\x00\x00", 5, nil},
		{"\x17\x03\x03\x41\x00", MaxRecord, nil},
		{"\x17\x03\x03\x41\x01", 0, errLong},
		{"\x17\x03\x03\xff\xff", 0, errLong},
		{"\x14", 0, errType},
		{"\x15\x03\x03\x00\x02", 0, errType},
		{"\x16\x03\x03\x00\x05", 0, errType},
		{"\x00", 0, errType},
		{"\x18", 0, errType},
		{"\x97", 0, errType},
		{"\x17\x02", 0, errVersion},
		{"\x17\x03\x01", 0, errVersion},
		{"\x17\x03\x04\x00\x05", 0, errVersion},
	} {
		if got, err := RecordLen([]byte(c.in)); got != c.want || err != c.err && (err == nil || c.err == nil || err.Error() != c.err.Error()) {
			t.Errorf("%x: %d, %v; want %d, %v", c.in, got, err, c.want, c.err)
		}
	}
}

// TestOpenVerdicts: every inner plaintext that a client may or must not send, after the
// fragments in before.
func TestOpenVerdicts(t *testing.T) {
	long := strings.Repeat("a", MaxData)
	for _, c := range []struct {
		desc   string
		before []string // content of handshake records
		inner  string
		kind   Kind
		err    error
	}{
		{desc: "data", inner: "hello\x17", kind: Data},
		{desc: "data with padding", inner: "hello\x17\x00\x00\x00", kind: Data},
		{desc: "empty data", inner: "\x17"},
		{desc: "empty data with padding", inner: "\x17\x00"},
		{desc: "as long as may be", inner: long + "\x17", kind: Data},
		{desc: "padding as long as may be", inner: "a\x17" + strings.Repeat("\x00", MaxData-1), kind: Data},
		{desc: "one byte too long", inner: long + "a\x17", err: errLong},
		{desc: "one byte of padding too many", inner: long + "\x17\x00", err: errLong},
		{desc: "as long as a body may be", inner: strings.Repeat("a", maxBody-tagLen), err: errLong},
		{desc: "nothing", inner: "", err: errNoType},
		{desc: "one zero", inner: "\x00", err: errNoType},
		{desc: "nothing but zeros", inner: strings.Repeat("\x00", maxInner), err: errNoType},
		{desc: "change_cipher_spec", inner: "\x01\x14", err: errInnerType},
		{desc: "heartbeat", inner: "\x01\x00\x00\x18", err: errInnerType},
		{desc: "type 1", inner: "a\x01", err: errInnerType},
		{desc: "type 255", inner: "a\xff", err: errInnerType},

		{desc: "close_notify", inner: "\x01\x00\x15", kind: Closed},
		{desc: "close_notify, fatal", inner: "\x02\x00\x15", kind: Closed},
		{desc: "user_canceled", inner: "\x01\x5a\x15"},
		{desc: "fatal alert", inner: "\x02\x14\x15", err: PeerError(20)},
		{desc: "any other alert is fatal", inner: "\x01\x64\x15", err: PeerError(100)},
		{desc: "empty alert", inner: "\x15", err: errAlertLength},
		{desc: "half an alert", inner: "\x01\x15", err: errAlertLength},
		{desc: "two alerts", inner: "\x01\x00\x01\x00\x15", err: errAlertLength},

		{desc: "KeyUpdate", inner: keyUpdate + "\x00\x16"},
		{desc: "KeyUpdate with padding", inner: keyUpdate + "\x00\x16\x00\x00"},
		{desc: "KeyUpdate that asks", inner: keyUpdate + "\x01\x16", kind: UpdateRequested},
		{desc: "KeyUpdate with a bad request", inner: keyUpdate + "\x02\x16", err: errRequest},
		{desc: "KeyUpdate too short", inner: "\x18\x00\x00\x00\x16", err: errLength},
		{desc: "KeyUpdate too long", inner: "\x18\x00\x00\x02\x00\x00\x16", err: errLength},
		{desc: "KeyUpdate much too long", inner: "\x18\x01\x00\x01\x00\x16", err: errLength},
		{desc: "two KeyUpdates in one record", inner: keyUpdate + "\x00" + keyUpdate + "\x00\x16", err: errTrailing},
		{desc: "a byte after a KeyUpdate", inner: keyUpdate + "\x01\x18\x16", err: errTrailing},
		{desc: "part of a KeyUpdate", inner: keyUpdate[:2] + "\x16"},
		{desc: "the rest of it", before: []string{keyUpdate[:2]}, inner: keyUpdate[2:] + "\x01\x16", kind: UpdateRequested},
		{desc: "byte by byte", before: strings.Split(keyUpdate, ""), inner: "\x00\x16"},
		{desc: "a rest that is wrong", before: []string{keyUpdate[:3]}, inner: "\x02\x16", err: errLength},
		{desc: "the rest of a message with more after it", before: []string{keyUpdate[:3]}, inner: "\x01\x00\x00\x16", err: errTrailing},
		{desc: "data in the middle of it", before: []string{keyUpdate[:1]}, inner: "a\x17", err: errInterleaved},
		{desc: "an alert in the middle of it", before: []string{keyUpdate}, inner: "\x01\x00\x15", err: errInterleaved},
		{desc: "empty handshake message", inner: "\x16", err: errEmpty},
		{desc: "empty in the middle", before: []string{keyUpdate[:1]}, inner: "\x16\x00", err: errEmpty},
		{desc: "ClientHello", inner: "\x01\x00\x00\x10\x16", err: errHandshake},
		{desc: "NewSessionTicket", inner: "\x04\x00\x00\x10\x16", err: errHandshake},
		{desc: "Certificate", inner: "\x0b\x16", err: errHandshake},
		{desc: "Finished", inner: "\x14\x00\x00\x20\x16", err: errHandshake},
	} {
		for _, use := range suites {
			t.Run(fmt.Sprint(c.desc, "/", use), func(t *testing.T) {
				s, peer := pair(t, use)
				for _, b := range c.before {
					if kind, _, err := s.openOne(peer.write.record(inner(typeHandshake, b))); err != nil || kind != Nothing {
						t.Fatalf("before: %v %v", kind, err)
					}
				}
				kind, data, err := s.openOne(peer.write.record([]byte(c.inner)))
				if kind != c.kind || err != c.err && !same(err, c.err) {
					t.Errorf("%v, %v; want %v, %v", kind, err, c.kind, c.err)
				}
				if kind == Data && string(data) != strings.TrimRight(c.inner, "\x00\x17") || kind != Data && len(data) != 0 {
					t.Errorf("%d bytes of data", len(data))
				}
				if s.PeerClosed() != (c.kind == Closed) {
					t.Errorf("closed by the peer: %v", s.PeerClosed())
				}
				// After the end nothing is opened, and the secret is erased.
				if ended := err != nil || kind == Closed; ended != (s.read.suite == 0) || ended != (s.read.secret == [maxSecret]byte{}) {
					t.Errorf("ended %v, but the reading half is %v", ended, s.read.suite)
				}
				if c.err == nil && c.kind != Closed {
					return
				}
				if _, _, err := s.Open(nil, peer.write.record([]byte("a\x17"))); err != ErrClosed {
					t.Errorf("a record after the end: %v", err)
				}
			})
		}
	}
}

func same(a, b error) bool { return a != nil && b != nil && a.Error() == b.Error() }

// TestNotAuthentic: if any bit of a record is changed, or a record is missing, repeated,
// truncated or extended, nothing of it is used.
func TestNotAuthentic(t *testing.T) {
	for _, use := range suites {
		good := func() (*State, []byte) {
			s, peer := pair(t, use)
			return s, peer.write.record(inner(typeData, "some data"))
		}
		_, sample := good()
		for i := HeaderLen; i < len(sample); i++ {
			s, record := good()
			record[i] ^= 1 << (i % 8)
			if kind, data, err := s.openOne(record); err != errMAC || kind != Nothing || data != nil {
				t.Errorf("byte %d changed: %v %q %v", i, kind, data, err)
			}
			if bytes.Contains(record, []byte("some")) {
				t.Errorf("byte %d changed: plaintext was returned", i)
			}
		}
		for n := range tagLen + 1 {
			s, record := good()
			if _, _, err := s.openOne(record[:HeaderLen+n]); err != errMAC {
				t.Errorf("cut to %d bytes: %v", n, err)
			}
		}
		s, record := good()
		record[4]++
		if _, _, err := s.openOne(append(record, 0)); err != errMAC {
			t.Errorf("lengthened: %v", err)
		}
		s, record = good()
		again := bytes.Clone(record)
		_, _, _ = s.openOne(record)
		if _, _, err := s.openOne(again); err != errMAC {
			t.Errorf("repeated: %v", err)
		}
		s, peer := pair(t, use)
		_ = peer.write.record(inner(typeData, "lost"))
		if _, _, err := s.openOne(peer.write.record(inner(typeData, "x"))); err != errMAC {
			t.Errorf("one missing: %v", err)
		}
	}
}

// TestFloods: the number of successive records without data is limited. So is that of
// KeyUpdates, even with data between them, unless there is much of it.
func TestFloods(t *testing.T) {
	flood := func(desc string, limit int, want error, send func(i int, s, peer *State) error) {
		t.Helper()
		s, peer := pair(t, aes128)
		for i := range limit * 3 {
			err := send(i, s, peer)
			if err == nil {
				continue
			}
			if i != limit || err != want {
				t.Errorf("%s: record %d: %v; want %v at %d", desc, i, err, want, limit)
			}
			return
		}
		if want != nil {
			t.Errorf("%s: no end", desc)
		}
	}
	one := func(s, peer *State, p []byte) error {
		_, _, err := s.openOne(peer.write.record(p))
		return err
	}
	update := func(s, peer *State) error {
		err := one(s, peer, inner(typeHandshake, keyUpdate+"\x01"))
		_ = peer.write.nextSecret()
		return err
	}
	flood("empty records", maxUseless, errUseless, func(_ int, s, peer *State) error {
		return one(s, peer, inner(typeData, ""))
	})
	flood("user_canceled", maxUseless, errUseless, func(_ int, s, peer *State) error {
		return one(s, peer, inner(typeAlert, "\x01\x5a"))
	})
	flood("fragments", maxUseless, errUseless, func(i int, s, peer *State) error {
		all := keyUpdate + "\x00"
		err := one(s, peer, inner(typeHandshake, all[i%5:i%5+1]))
		if i%5 == 4 {
			_ = peer.write.nextSecret()
		}
		return err
	})
	flood("KeyUpdates", maxUseless, errUseless, func(_ int, s, peer *State) error { return update(s, peer) })
	flood("KeyUpdates with data between", maxUpdates, errUpdates, func(_ int, s, peer *State) error {
		if err := one(s, peer, inner(typeData, "x")); err != nil {
			return err
		}
		return update(s, peer)
	})
	flood("KeyUpdates with much between", 5*maxUpdates, nil, func(_ int, s, peer *State) error {
		for range recordsPerUpdate {
			if err := one(s, peer, inner(typeData, "x")); err != nil {
				return err
			}
		}
		return update(s, peer)
	})
}

// TestAnswerOnce: any number of KeyUpdates that request an update cause one response,
// directly before the next data.
func TestAnswerOnce(t *testing.T) {
	s, c := pair(t, aes128)
	for range 5 {
		kind, _, err := s.openOne(c.write.record(inner(typeHandshake, keyUpdate+"\x01")))
		if kind != UpdateRequested || err != nil {
			t.Fatal(kind, err)
		}
		_ = c.write.nextSecret()
		s.AnswerUpdate()
	}
	for i, want := range []int{2, 1} {
		out, _, err := s.Seal(nil, nil, []byte("x"))
		if got := len(openAll(t, c, out)); err != nil || got != want {
			t.Errorf("write %d: %d records, want %d; %v", i, got, want, err)
		}
	}
}

// TestSealAllocates nothing while the keys are kept and there is room.
func TestSealAllocates(t *testing.T) {
	for _, use := range suites {
		s, c := pair(t, use)
		p, out, record := make([]byte, 150), make([]byte, 0, 1024), make([]byte, 0, 1024)
		tx, rx := s.write.current(nil), c.ReadKeys(nil)
		if n := testing.AllocsPerRun(100, func() {
			out, tx, _ = s.Seal(tx, out[:0], p)
			record = append(record[:0], out...)
			if _, _, err := c.Open(rx, record); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("suite %d: %v allocations", use, n)
		}
	}
}
