package leantls

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"net"
	"slices"
)

// Secrets takes the traffic secrets of one handshake from crypto/tls: it is a
// connection's KeyLogWriter.
type Secrets struct {
	random [32]byte // the client's, the same in all lines
	got    [4]secret
	bad    bool // something came that is not as expected
}

type secret struct {
	n int // 0: has not come
	b [maxSecret]byte
}

// The places in Secrets.got, and what the lines begin with.
const (
	clientHandshake = iota
	serverHandshake
	clientTraffic
	serverTraffic
)

var secretLabels = [...]string{
	clientHandshake: "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	serverHandshake: "SERVER_HANDSHAKE_TRAFFIC_SECRET",
	clientTraffic:   "CLIENT_TRAFFIC_SECRET_0",
	serverTraffic:   "SERVER_TRAFFIC_SECRET_0",
}

// labelEarly would come with early data, which crypto/tls does not accept: it
// would mean that records were read whose number is not known.
const labelEarly = "CLIENT_EARLY_TRAFFIC_SECRET"

// Write takes one line: label, client random and secret, the last two in
// hexadecimal. It never fails: a handshake must not suffer from this.
func (s *Secrets) Write(line []byte) (int, error) {
	if !s.parseLine(line) {
		s.bad = true
	}
	return len(line), nil
}

func (s *Secrets) parseLine(line []byte) bool {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return false
	}
	label := string(fields[0])
	which := slices.Index(secretLabels[:], label)
	if which < 0 {
		return label != labelEarly
	}
	var random [32]byte
	if hex.DecodedLen(len(fields[1])) != len(random) {
		return false
	}
	if _, err := hex.Decode(random[:], fields[1]); err != nil {
		return false
	}
	first := s.got == [4]secret{}
	if !first && random != s.random {
		return false
	}
	s.random = random
	to := &s.got[which]
	n := hex.DecodedLen(len(fields[2]))
	if to.n != 0 || n > maxSecret || n == 0 {
		return false
	}
	if _, err := hex.Decode(to.b[:], fields[2]); err != nil {
		return false
	}
	to.n = n
	return true
}

// complete reports whether all four secrets came, once each and of this length,
// and nothing else.
func (s *Secrets) complete(n int) bool {
	if s.bad {
		return false
	}
	for i := range s.got {
		if s.got[i].n != n {
			return false
		}
	}
	return true
}

func (s *Secrets) secret(which int) []byte { return s.got[which].b[:s.got[which].n] }

// Wipe forgets the secrets.
func (s *Secrets) Wipe() { *s = Secrets{bad: true} }

// Config is a configuration for tls.Server that works as base does and gives
// the secrets of each handshake of TLS 1.3 to what of answers for its
// connection; for nil to nobody. It is to be made once for each base and used
// for all its connections, because it has the keys of the session tickets.
func Config(base *tls.Config, secretsFor func(net.Conn) *Secrets) *tls.Config {
	shared := base.Clone()
	shared.KeyLogWriter = nil
	shared.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		var own *tls.Config // nil: shared is used
		if base.GetConfigForClient != nil {
			var err error
			if own, err = base.GetConfigForClient(hello); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
			return own, nil
		}
		secrets := secretsFor(hello.Conn)
		if secrets == nil {
			return own, nil
		}
		// A writer of this connection alone: told apart by the client random,
		// which the client chooses, connections could take others' secrets. The
		// clone has those keys of session tickets that were set; the ones
		// that crypto/tls makes it takes from shared.
		if own == nil {
			own = base
		}
		own = own.Clone()
		own.KeyLogWriter = secrets
		return own, nil
	}
	return shared
}

// Boundary finds the ends of records in what is read for crypto/tls, so that it
// is never given a byte of the next record: what it has read it cannot give
// back.
type Boundary struct{ remaining int }

// Next answers how many of the bytes that wait may be handed on; 0: more are
// needed. The caller passes the number of bytes that it hands on to Advance.
func (b *Boundary) Next(waiting []byte) int {
	if b.remaining == 0 {
		if len(waiting) < HeaderLen {
			return 0
		}
		b.remaining = HeaderLen + int(waiting[3])<<8 + int(waiting[4])
	}
	return min(b.remaining, len(waiting))
}

// Advance records that n bytes were handed on.
func (b *Boundary) Advance(n int) { b.remaining -= n }

// Whole reports whether the last record is complete.
func (b *Boundary) Whole() bool { return b.remaining == 0 }
