//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// A peer that has not sent a complete ClientHello costs only the memory of the bytes that
// it has sent, and no goroutine: opening many connections that stop there must cost the
// attacker more than the server.

const (
	// maxClientHello limits the bytes kept for a peer before its handshake begins: one
	// TLS record of maximum size. For a ClientHello in several records the record headers
	// count too.
	maxClientHello = recordHeader + maxFragment

	recordHeader  = 5
	messageHeader = 4
	maxFragment   = 1 << 14 // bytes in a TLS record

	// earlyRead is the size in bytes of one read from a peer during its handshake: a
	// ClientHello has 200 to 2,000 bytes.
	earlyRead = 4 << 10

	// maxEarly limits the bytes after a ClientHello that wait for the handshake before
	// reading is paused.
	maxEarly = 4 << 10

	// maxWarnings limits the warning alerts before a ClientHello or between two of its
	// records; crypto/tls has the same limit.
	maxWarnings = 16

	// alertLinger limits how long a peer whose handshake has failed may take to read the
	// alert.
	alertLinger = 2 * time.Second
)

// Alerts (RFC 8446 section 6, https://www.rfc-editor.org/rfc/rfc8446#section-6) that end
// a connection before crypto/tls has seen it.
const (
	alertUnexpectedMessage tls.AlertError = 10
	alertRecordOverflow    tls.AlertError = 22
	alertProtocolVersion   tls.AlertError = 70
	alertInternalError     tls.AlertError = 80
)

// Types of records and messages.
const (
	recordAlert     = 21
	recordHandshake = 22
	recordSSL2      = 0x80 // the first byte of an SSL 2.0 hello
	msgClientHello  = 1
)

// hello starts the handshake once the ClientHello is complete. Under mu.
func (t *stdTLS) hello() error {
	var f firstFlight
	if t.first != nil {
		f = *t.first
	}
	whole, err := f.whole(t.in.Bytes())
	switch {
	case err != nil:
		t.phase = tlsFailed
		return err
	case whole:
		if !t.c.loop.p.unauth.wait(t.c) {
			return ErrMemory
		}
		t.first = nil
		t.phase = tlsQueued
		t.c.loop.p.queue.add(t)
	default:
		if t.first == nil {
			t.first = new(firstFlight)
		}
		*t.first = f
	}
	return nil
}

// firstFlight follows a peer's first records to the end of its ClientHello. It checks
// only lengths and types; crypto/tls checks everything else. Bytes that cannot become a
// ClientHello are refused as soon as possible, with the alert that crypto/tls would send,
// or with unexpected_message where it would send none.
type firstFlight struct {
	offset   int   // bytes in complete records
	have     int   // bytes of the message in those records
	size     int   // length of the message, as far as its header has arrived
	warnings uint8 // warning alerts since the last part of the message
}

// whole reports whether b starts with a complete ClientHello, in any number of records. b
// must start with the bytes of the previous call. If the error wraps a tls.AlertError,
// that alert must be sent; any other error ends the connection silently.
func (f *firstFlight) whole(b []byte) (bool, error) {
	for {
		n, err := firstRecord(b[f.offset:])
		if err != nil {
			return false, err
		}
		here := b[min(f.offset+recordHeader, len(b)):]
		here = here[:min(n, len(here))]
		next := *f
		if len(here) > 0 {
			if err := next.add(b[f.offset], n, here); err != nil {
				return false, err
			}
		}
		if len(b) < f.offset+recordHeader || len(here) < n {
			if len(b) >= maxClientHello {
				return false, refuse(alertInternalError)
			}
			return false, nil
		}
		next.offset = f.offset + recordHeader + n
		if next.offset > maxClientHello {
			return false, refuse(alertInternalError)
		}
		*f = next
		if f.have >= messageHeader && f.have >= messageHeader+f.size {
			return true, nil
		}
	}
}

// firstRecord checks the header of a record, as far as it has arrived, and returns the
// length in it.
func firstRecord(b []byte) (n int, err error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case b[0] == recordSSL2:
		return 0, refuse(alertProtocolVersion)
	// RFC 8446 section 5 (https://www.rfc-editor.org/rfc/rfc8446#section-5): "If a TLS
	// implementation receives an unexpected record type, it MUST terminate the connection
	// with an "unexpected_message" alert." The version "MUST be ignored for all purposes"
	// (section 5.1), but a version of 0x10 or higher is not TLS.
	case b[0] != recordAlert && b[0] != recordHandshake, len(b) > 1 && b[1] >= 0x10:
		return 0, refuse(alertUnexpectedMessage)
	case len(b) < recordHeader:
		return 0, nil
	}
	n = int(b[3])<<8 | int(b[4])
	switch {
	case n > maxFragment:
		return 0, refuse(alertRecordOverflow)
	// Section 5.1 (https://www.rfc-editor.org/rfc/rfc8446#section-5.1): "Implementations
	// MUST NOT send zero-length fragments of Handshake types"; an alert has two bytes.
	case n == 0, b[0] == recordAlert && n != 2:
		return 0, refuse(alertUnexpectedMessage)
	}
	return n, nil
}

// add processes the available bytes of a record with n bytes.
func (f *firstFlight) add(typ byte, n int, here []byte) error {
	if typ == recordAlert {
		if len(here) < n {
			return nil
		}
		return f.alert(here[0], here[1])
	}
	f.warnings = 0
	for ; len(here) > 0 && f.have < messageHeader; here = here[1:] {
		if f.have == 0 && here[0] != msgClientHello {
			return refuse(alertUnexpectedMessage)
		}
		if f.have > 0 {
			f.size = f.size<<8 | int(here[0])
		}
		f.have++
	}
	f.have += len(here)
	if f.have >= messageHeader && f.size > maxFragment-messageHeader {
		return refuse(alertInternalError)
	}
	return nil
}

// alert processes an alert before a ClientHello.
func (f *firstFlight) alert(level, description byte) error {
	const closeNotify, warning, fatal = 0, 1, 2
	switch {
	case description == closeNotify, level == fatal:
		return ErrHandshake // the peer has closed the connection
	case level != warning, f.warnings == maxWarnings:
		return refuse(alertUnexpectedMessage)
	}
	f.warnings++
	return nil
}

// refuse returns the error of a handshake that ends with an alert.
func refuse(a tls.AlertError) error { return fmt.Errorf("%w: %w", ErrHandshake, a) }

// reject ends a connection whose handshake has failed. It sends the alert if crypto/tls
// has not done so. The alert must reach the peer: closing a socket with unread input
// resets the connection, which would destroy the alert in flight. Loop.
func (t *stdTLS) reject(err error) {
	var a tls.AlertError
	c := t.c
	t.mu.Lock()
	unsent := t.phase == tlsFailed && errors.As(err, &a)
	t.phase, t.in, t.conn = tlsFailed, bytes.Buffer{}, nil
	t.account()
	t.mu.Unlock()
	if unsent {
		c.mu.Lock()
		// The version that crypto/tls sends before one is negotiated.
		c.append([]byte{recordAlert, 3, 1, 0, 2, 2, byte(a)})
		c.mu.Unlock()
	}
	t.failed = err
	c.paused = true
	c.Close(alertLinger)
}
