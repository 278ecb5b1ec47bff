package leantls

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"net"
	"slices"
)

// Secrets collects the traffic secrets of one handshake from crypto/tls. It is used as
// the KeyLogWriter of one connection.
type Secrets struct {
	random [32]byte // the client random, the same in all lines
	got    [4]secret
	bad    bool // an unexpected line was written
}

type secret struct {
	n int // length in bytes; 0: not received yet
	b [maxSecret]byte
}

// Indexes in Secrets.got, and the labels at the start of the lines.
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

// labelEarly is the label for early data, which a crypto/tls server does not accept. If
// it appears, an unknown number of records has been read.
const labelEarly = "CLIENT_EARLY_TRAFFIC_SECRET"

// Write parses one line: label, client random and secret, the last two in hexadecimal. It
// never returns an error, which would make the handshake fail.
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

// complete reports whether all four secrets were received, each exactly once and n bytes
// long, and nothing unexpected.
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

// Wipe erases the secrets.
func (s *Secrets) Wipe() { *s = Secrets{bad: true} }

// Config returns a configuration for tls.Server that is equivalent to base and writes the
// secrets of each TLS 1.3 handshake to the Secrets that secretsFor returns for its
// connection, if not nil. Call it once for each base and use the result for all its
// connections, because it holds the keys of the session tickets.
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
		// Each connection needs its own writer: with a shared one, secrets would be
		// assigned by the client random, which clients choose, so that a connection could
		// receive another's secrets. The clone has the session ticket keys that were set
		// explicitly; crypto/tls takes the automatic ones from shared.
		if own == nil {
			own = base
		}
		own = own.Clone()
		own.KeyLogWriter = secrets
		return own, nil
	}
	return shared
}

// Boundary finds the ends of records in the bytes read for crypto/tls, so that crypto/tls
// never receives a byte of the next record: it cannot give back bytes that it has read.
type Boundary struct{ remaining int }

// Next returns how many of the waiting bytes may be passed on now; 0 means that more are
// needed. After passing bytes on, call Advance.
func (b *Boundary) Next(waiting []byte) int {
	if b.remaining == 0 {
		if len(waiting) < HeaderLen {
			return 0
		}
		b.remaining = HeaderLen + int(waiting[3])<<8 + int(waiting[4])
	}
	return min(b.remaining, len(waiting))
}

// Advance records that n bytes were passed on.
func (b *Boundary) Advance(n int) { b.remaining -= n }

// Whole reports whether the last record is complete.
func (b *Boundary) Whole() bool { return b.remaining == 0 }
