//go:build linux

package poller

import (
	"bytes"
	"io"
	"net"
	"time"
)

// errNoData is returned to crypto/tls while there is nothing to read. It is a temporary
// error, which crypto/tls does not remember, so that its Read can be called again.
var errNoData net.Error = noData{}

type noData struct{}

func (noData) Error() string   { return "poller: nothing to read now" }
func (noData) Timeout() bool   { return true }
func (noData) Temporary() bool { return true }

// tlsSocket is the socket as crypto/tls sees it.
type tlsSocket stdTLS

// Read blocks during the handshake and never after it. It returns no bytes beyond the
// current record: bytes after the handshake's last record must not reach crypto/tls if
// another layer takes over.
func (s *tlsSocket) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == tlsOpen && s.boundary.Whole() {
		s.c.stall = 0
	}
	n := s.boundary.Next(s.in.Bytes())
	for ; n == 0; n = s.boundary.Next(s.in.Bytes()) {
		if s.atEOF {
			return 0, io.EOF
		}
		if s.phase == tlsOpen || s.phase == tlsFailed { // another goroutine may have lost sealed bytes since the call began
			return 0, errNoData
		}
		s.silentSince.Store(int64(s.c.loop.p.uptime()))
		s.arrived.Wait()
		s.silentSince.Store(0)
	}
	n, _ = s.in.Read(p[:min(n, len(p))])
	s.boundary.Advance(n)
	if s.in.Len() <= maxEarly && !s.atEOF {
		(*stdTLS)(s).unthrottle()
	}
	if s.in.Len() == 0 && s.in.Cap() > 4096 {
		s.in = bytes.Buffer{}
		(*stdTLS)(s).account()
	}
	return n, nil
}

// Write accepts everything: a short count or a temporary error would corrupt the stream
// permanently. After the handshake, the caller of crypto/tls moves the written bytes to
// the outbox (moveWritten): crypto/tls calls Write with its own lock held, which seal
// acquires under Conn.mu.
func (s *tlsSocket) Write(p []byte) (int, error) {
	if s.writeSealed(p) {
		return len(p), nil
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.fd < 0 {
		return 0, ErrClosed
	}
	if s.c.queued()+len(p) > 2*s.c.mayQueue(0, 0) {
		// The peer does not read.
		s.c.loop.post(s.c, func(int) { s.c.destroy(ErrFull) })
		return 0, ErrFull
	}
	s.c.append(p)
	s.capture(p)
	if failed := s.c.flush(); failed != nil {
		return 0, failed
	}
	return len(p), nil
}

// writeSealed collects the bytes that crypto/tls writes after the handshake. It returns
// false during the handshake.
func (s *tlsSocket) writeSealed(p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != tlsOpen {
		return false
	}
	if s.written == nil {
		s.written = outboxes.Get()
	}
	_, _ = s.written.Write(p)
	return true
}

func (s *tlsSocket) Close() error                     { return nil }
func (s *tlsSocket) LocalAddr() net.Addr              { return tlsAddr{} }
func (s *tlsSocket) RemoteAddr() net.Addr             { return tlsAddr{} }
func (s *tlsSocket) SetDeadline(time.Time) error      { return nil }
func (s *tlsSocket) SetReadDeadline(time.Time) error  { return nil }
func (s *tlsSocket) SetWriteDeadline(time.Time) error { return nil }

type tlsAddr struct{}

func (tlsAddr) Network() string { return "tcp" }
func (tlsAddr) String() string  { return "client" }
