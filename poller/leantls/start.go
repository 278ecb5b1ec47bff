package leantls

import (
	"crypto/fips140"
	"crypto/tls"
)

// Refusal is a reason why a session stays with crypto/tls.
type Refusal uint8

// The reasons.
const (
	RefusedVersion  Refusal = iota // not TLS 1.3
	RefusedSuite                   // a cipher suite that is not known here
	RefusedFIPS                    // the process runs in FIPS 140-3 mode
	RefusedSelfTest                // crypto/tls does not behave as expected here
	RefusedSecrets                 // the secrets were not all caught
	RefusedWrites                  // crypto/tls wrote something else than a handshake and tickets
	RefusedReads                   // bytes of the handshake's last record are left
	Refusals                       // how many reasons there are
)

var refusals = [Refusals]string{"version", "suite", "fips", "self-test", "secrets", "writes", "reads"}

// Error names the reason.
func (r Refusal) Error() string { return "leantls: refused for: " + refusals[r] }

// String is the reason in one word.
func (r Refusal) String() string { return refusals[r] }

// Start makes s the session of a server's handshake that has just ended: st is
// what crypto/tls says of it, secrets what it logged and written all that it
// wrote, which is decrypted in place. The error is a Refusal, and then s is
// unchanged. secrets is wiped.
//
// The number of records that crypto/tls has sealed under the application key
// is not asked for anywhere: written proves it.
func (s *State) Start(st *tls.ConnectionState, secrets *Secrets, written []byte) error {
	defer secrets.Wipe()
	use := suiteOf(st.CipherSuite)
	switch {
	case st.Version != tls.VersionTLS13 || !st.HandshakeComplete:
		return RefusedVersion
	case use == 0:
		return RefusedSuite
	case fips140.Enabled():
		return RefusedFIPS
	case !secrets.complete(use.secretLen()):
		return RefusedSecrets
	}
	sent, ok := countSent(use, secrets, written)
	if !ok {
		return RefusedWrites
	}
	s.read.start(use, secrets.secret(clientTraffic), 0)
	s.write.start(use, secrets.secret(serverTraffic), sent)
	return nil
}

// countSent reads what crypto/tls wrote: hellos in clear, records under the
// handshake key up to the Finished, and after it session tickets under the
// application key, whose number it returns.
func countSent(use suite, secrets *Secrets, written []byte) (sent uint64, ok bool) {
	var h half
	h.start(use, secrets.secret(serverHandshake), 0)
	defer h.zeroize()
	k := h.keys()
	finished := false
	var msgs messages
	for len(written) > 0 {
		if len(written) < HeaderLen {
			return 0, false
		}
		n := HeaderLen + int(written[3])<<8 + int(written[4])
		if n > len(written) || n > MaxRecord {
			return 0, false
		}
		record := written[:n]
		written = written[n:]
		if record[0] != typeData {
			if h.seq > 0 || finished || record[0] != typeHandshake && record[0] != typeChange {
				return 0, false
			}
			continue
		}
		typ, p, err := k.open(h.seq, record)
		if err != nil || typ != typeHandshake {
			return 0, false
		}
		h.seq++
		if !msgs.add(p, finished) {
			return 0, false
		}
		if msgs.finished && !finished {
			finished = true
			h.start(use, secrets.secret(serverTraffic), 0)
			k = h.keys()
		}
	}
	return h.seq, finished && msgs.remaining == 0 && msgs.head == 0
}

// messages follows handshake messages through records.
type messages struct {
	head      int  // bytes that are there of the header
	size      int  // what the header said so far
	remaining int  // bytes of the message that are missing
	typ       byte // of the message
	finished  bool // the Finished has ended
}

// add takes a record's content. Before the Finished any message may come, and
// nothing behind it in its record; after it only tickets.
func (m *messages) add(p []byte, after bool) bool {
	for len(p) > 0 {
		if m.finished && !after {
			return false
		}
		if m.remaining == 0 {
			if m.head == 0 {
				m.typ, m.size = p[0], 0
			} else {
				m.size = m.size<<8 | int(p[0])
			}
			p = p[1:]
			if m.head++; m.head < 4 {
				continue
			}
			m.head, m.remaining = 0, m.size
			if after && m.typ != msgTicket {
				return false
			}
		}
		n := min(m.remaining, len(p))
		m.remaining -= n
		p = p[n:]
		if m.remaining == 0 && m.typ == msgFinished {
			m.finished = true
		}
	}
	return true
}
