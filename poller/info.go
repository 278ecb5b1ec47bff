//go:build linux

package poller

import (
	"crypto/tls"
	"time"
)

// TLSKind is what protects a connection.
type TLSKind uint8

// The kinds of protection.
const (
	NoTLS   TLSKind = iota // also until a handshake has ended
	TLS12                  // TLS 1.2, by crypto/tls
	StdTLS                 // TLS 1.3, by crypto/tls
	LeanTLS                // TLS 1.3, by the lean record layer
)

// LastRead returns when the peer was last heard of, to the second: the last time that
// something was read from the socket, or the time of the connection. Any goroutine may
// call it.
func (c *Conn) LastRead() time.Time {
	return c.loop.start.Add(time.Duration(c.lastRead.Load()-1) * time.Second)
}

// sawInput records that something was read. A busy connection stores the time once a
// second. Loop.
func (c *Conn) sawInput() {
	if now := c.loop.now; c.lastRead.Load() != now {
		c.lastRead.Store(now)
	}
}

// TLS returns what protects the connection. Any goroutine may call it; it takes the
// connection's lock, but not while it asks crypto/tls, which may hold its own locks and
// wait for this one.
func (c *Conn) TLS() TLSKind {
	c.mu.Lock()
	layer := bottom(c.layer)
	c.mu.Unlock()
	switch t := layer.(type) {
	case *leanTLS:
		return LeanTLS
	case *stdTLS:
		if conn := t.opened(); conn != nil {
			if conn.ConnectionState().Version == tls.VersionTLS12 {
				return TLS12
			}
			return StdTLS
		}
	}
	return NoTLS
}

// opened returns t.conn once the handshake has ended; before, it belongs to the handshake's
// goroutine, and the result is nil.
func (t *stdTLS) opened() *tls.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != tlsOpen {
		return nil
	}
	return t.conn
}
