//go:build linux

package poller

// A peer that has not sent a whole ClientHello costs what it has sent and no
// goroutine: who opens many connections and stops there must pay more than we do.

const (
	// maxClientHello bounds what is kept of a peer before its handshake begins,
	// in bytes: one TLS record.
	maxClientHello = 5 + maxFragment

	maxFragment = 1 << 14 // bytes in a TLS record

	// earlyRead is how much is read at once of a peer whose handshake is not done,
	// in bytes: a ClientHello has 200 to 2,000.
	earlyRead = 4 << 10

	// maxEarly is how much of what comes after a ClientHello may wait for the
	// handshake, in bytes, before reading waits too.
	maxEarly = 4 << 10

	// maxHelloRecords is in how many records a ClientHello may come. Each piece
	// that arrives has us look at those before it again.
	maxHelloRecords = 64
)

// hello begins the handshake when the ClientHello is whole. Under mu.
func (t *stdTLS) hello() error {
	whole, err := helloIsWhole(t.in.Bytes())
	if !whole {
		return err
	}
	t.phase = tlsQueued
	t.c.loop.p.queue.add(t)
	return nil
}

// helloIsWhole reports whether b begins with a whole ClientHello, in however
// many records. It looks at lengths and types alone; the rest is crypto/tls's.
func helloIsWhole(b []byte) (bool, error) {
	const recordHandshake, msgClientHello, header = 22, 1, 4
	size, have := 0, 0 // of the message: what its header says so far, and how much is there
	for range maxHelloRecords {
		if len(b) > 0 && b[0] != recordHandshake || len(b) > 1 && b[1] != 3 {
			return false, ErrHandshake
		}
		if len(b) < 5 {
			return false, nil
		}
		n := int(b[3])<<8 | int(b[4])
		// RFC 8446 section 5.1: "Implementations MUST NOT send zero-length
		// fragments of Handshake types".
		if n == 0 || n > maxFragment {
			return false, ErrHandshake
		}
		b = b[5:]
		here := b[:min(n, len(b))]
		for ; len(here) > 0 && have < header; here = here[1:] {
			if have == 0 && here[0] != msgClientHello {
				return false, ErrHandshake
			}
			if have > 0 {
				size = size<<8 | int(here[0])
			}
			have++
		}
		have += len(here)
		if have >= header && size > maxFragment-header {
			return false, ErrHandshake
		}
		if n > len(b) {
			return false, nil
		}
		if have >= header+size {
			return true, nil
		}
		b = b[n:]
	}
	return false, ErrHandshake
}
