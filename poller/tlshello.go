//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// A peer that has not sent a whole ClientHello costs what it has sent and no
// goroutine: who opens many connections and stops there must pay more than we do.

const (
	// maxClientHello bounds what is kept of a peer before its handshake begins,
	// in bytes: one TLS record. A ClientHello in many records may be shorter.
	maxClientHello = recordHeader + maxFragment

	recordHeader  = 5
	messageHeader = 4
	maxFragment   = 1 << 14 // bytes in a TLS record

	// earlyRead is how much is read at once of a peer whose handshake is not done,
	// in bytes: a ClientHello has 200 to 2,000.
	earlyRead = 4 << 10

	// maxEarly is how much of what comes after a ClientHello may wait for the
	// handshake, in bytes, before reading waits too.
	maxEarly = 4 << 10

	// maxWarnings is how many warnings may come before a ClientHello, or between
	// two of its records; crypto/tls has the same limit.
	maxWarnings = 16

	// alertLinger is how long a peer whose handshake has failed may take to
	// read the alert.
	alertLinger = 2 * time.Second
)

// Alerts of RFC 8446 section 6 that end a connection before crypto/tls has seen
// it.
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

// hello begins the handshake when the ClientHello is whole. Under mu.
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

// firstFlight follows a peer's first records to the end of its ClientHello. It looks
// at lengths and types alone; the rest is crypto/tls's. What can become no ClientHello
// is refused as soon as that shows, with the alert that crypto/tls would send; where
// that would send none, with unexpected_message.
type firstFlight struct {
	offset   int   // bytes in records that are whole
	have     int   // bytes of the message in them
	size     int   // of the message, as far as its header is there
	warnings uint8 // since a part of the message has come
}

// whole reports whether b, which begins as it did in the call before, begins with a
// whole ClientHello, in however many records. An error with a tls.AlertError is to
// be sent, any other one ends the connection silently.
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

// firstRecord looks at the header of a record, as far as it is there, and returns
// the length that it states.
func firstRecord(b []byte) (n int, err error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case b[0] == recordSSL2:
		return 0, refuse(alertProtocolVersion)
	// RFC 8446 section 5: "If a TLS implementation receives an unexpected record
	// type, it MUST terminate the connection with an "unexpected_message" alert."
	// The version "MUST be ignored for all purposes" (section 5.1), but one such as
	// this is not of TLS.
	case b[0] != recordAlert && b[0] != recordHandshake, len(b) > 1 && b[1] >= 0x10:
		return 0, refuse(alertUnexpectedMessage)
	case len(b) < recordHeader:
		return 0, nil
	}
	n = int(b[3])<<8 | int(b[4])
	switch {
	case n > maxFragment:
		return 0, refuse(alertRecordOverflow)
	// Section 5.1: "Implementations MUST NOT send zero-length fragments of Handshake
	// types"; an alert has two bytes.
	case n == 0, b[0] == recordAlert && n != 2:
		return 0, refuse(alertUnexpectedMessage)
	}
	return n, nil
}

// add takes what there is of a record with n bytes.
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

// alert takes an alert that comes before a ClientHello.
func (f *firstFlight) alert(level, description byte) error {
	const closeNotify, warning, fatal = 0, 1, 2
	switch {
	case description == closeNotify, level == fatal:
		return ErrHandshake // there is nobody to tell
	case level != warning, f.warnings == maxWarnings:
		return refuse(alertUnexpectedMessage)
	}
	f.warnings++
	return nil
}

// refuse is the error of a handshake that ends with an alert.
func refuse(a tls.AlertError) error { return fmt.Errorf("%w: %w", ErrHandshake, a) }

// reject ends a connection whose handshake has failed. What crypto/tls does not send
// is sent here. The alert must reach the peer: to close a socket with unread input
// resets the connection, and destroys the alert on its way. Loop.
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
		// The version as in what crypto/tls sends before one is negotiated.
		c.append([]byte{recordAlert, 3, 1, 0, 2, 2, byte(a)})
		c.mu.Unlock()
	}
	t.failed = err
	c.paused = true
	c.Close(alertLinger)
}
