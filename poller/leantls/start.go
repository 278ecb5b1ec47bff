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
	RefusedSuite                   // an unsupported cipher suite
	RefusedFIPS                    // the process runs in FIPS 140-3 mode
	RefusedSelfTest                // crypto/tls failed the self-test
	RefusedSecrets                 // not all secrets were captured
	RefusedWrites                  // crypto/tls wrote something other than a handshake and tickets
	RefusedReads                   // the handshake's last record was not read completely
	Refusals                       // number of reasons
)

var refusals = [Refusals]string{"version", "suite", "fips", "self-test", "secrets", "writes", "reads"}

// Error returns a text with the reason.
func (r Refusal) Error() string { return "leantls: session stays with crypto/tls: " + refusals[r] }

// String returns the reason as one word.
func (r Refusal) String() string { return refusals[r] }

// Start initializes s for the session of a server's handshake that has just ended. st is
// its state as crypto/tls reports it, secrets are the logged secrets, and written is
// everything that crypto/tls wrote, which Start decrypts in place. The error is a
// Refusal; then s is unchanged. Start always wipes secrets.
//
// The number of records that crypto/tls has sealed under the application key is counted
// in written, because crypto/tls does not report it.
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

// countSent reads the bytes that crypto/tls wrote: plaintext hellos, records under the
// handshake key up to the Finished, and then session tickets under the application key.
// It returns the number of records with tickets.
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

// messages tracks handshake messages across records.
type messages struct {
	head      int  // bytes of the header received so far
	size      int  // length in the header, as far as received
	remaining int  // missing bytes of the message
	typ       byte // of the message
	finished  bool // the Finished is complete
}

// add processes a record's content. Before the Finished any message is allowed, and
// nothing after it in its record; in later records only tickets are allowed.
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
