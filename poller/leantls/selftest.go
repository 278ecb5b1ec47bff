package leantls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"time"
)

// SelfTest runs a session between crypto/tls and this package in memory: handshake, data,
// key updates and the end. It runs once per process. If it returns an error, crypto/tls
// behaves differently from what this package expects, and sessions must stay with
// crypto/tls.
var SelfTest = sync.OnceValue(selfTest)

func selfTest() error {
	cert, err := selfTestCert()
	if err != nil {
		return err
	}
	a, b := newQueue(), newQueue()
	server := &memConn{in: a, out: b, records: true}
	client := tls.Client(&memConn{in: b, out: a}, &tls.Config{
		InsecureSkipVerify: true, // the server is this process
		MinVersion:         tls.VersionTLS13,
		ServerName:         "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(1), // so that the server sends a ticket
	})
	var secrets Secrets
	cfg := Config(&tls.Config{Certificates: []tls.Certificate{cert}}, func(net.Conn) *Secrets { return &secrets })
	conn := tls.Server(server, cfg)
	done := make(chan error, 1)
	go func() {
		err := client.Handshake()
		if err != nil {
			b.close()
			a.close()
		}
		done <- err
	}()
	err = conn.Handshake()
	if err != nil {
		a.close()
		b.close()
	}
	if err = errors.Join(err, <-done); err != nil {
		return fmt.Errorf("leantls: self-test: handshake: %w", err)
	}
	var s State
	st := conn.ConnectionState()
	if err := s.Start(&st, &secrets, server.written); err != nil {
		return fmt.Errorf("leantls: self-test: %w", err)
	}
	if err := s.converse(client, a, b); err != nil {
		return fmt.Errorf("leantls: self-test: %w", err)
	}
	return nil
}

// converse runs the session after the handshake: data in both directions before and after
// both sides have changed their keys, and a proper end.
func (s *State) converse(client *tls.Conn, in, out *queue) error {
	for _, text := range []string{"old keys", "new keys"} {
		if _, err := client.Write([]byte(text)); err != nil {
			return err
		}
		if got, err := s.drain(in); err != nil || got != text {
			return fmt.Errorf("got %q, want %q: %w", got, text, err)
		}
		sealed, k, err := s.Seal(nil, nil, []byte(text))
		if err != nil {
			return err
		}
		if text == "old keys" {
			// The client responds by changing its own keys.
			sealed = k.seal(sealed, []byte(keyUpdate+"\x01"), typeHandshake)
			if err := s.write.nextSecret(); err != nil {
				return err
			}
			if sealed, _, err = s.Seal(nil, sealed, []byte("!")); err != nil {
				return err
			}
			text += "!"
		}
		out.put(sealed)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != text {
			return fmt.Errorf("the client got %q, want %q: %w", got, text, err)
		}
	}
	if s.read.gen != 1 {
		return errors.New("the client has not changed its keys")
	}
	out.put(s.End(nil, nil, CloseNotify))
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("the client did not read the end: %w", err)
	}
	_ = client.CloseWrite()
	if _, err := s.drain(in); err != nil || !s.PeerClosed() {
		return fmt.Errorf("the client's end was not read: %w", err)
	}
	return nil
}

// drain opens all waiting records.
func (s *State) drain(in *queue) (text string, err error) {
	waiting := in.takeAll()
	for len(waiting) > 0 {
		n, err := RecordLen(waiting)
		if err != nil || n == 0 || n > len(waiting) {
			return text, errors.Join(errors.New("no complete record"), err)
		}
		_, data, err := s.Open(s.ReadKeys(nil), waiting[:n])
		if err != nil {
			return text, err
		}
		text += string(data)
		waiting = waiting[n:]
	}
	return text, nil
}

func selfTestCert() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// queue is one direction of a connection in memory.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond
	b      bytes.Buffer
	closed bool
}

func newQueue() *queue {
	q := new(queue)
	q.more.L = &q.mu
	return q
}

func (q *queue) put(p []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.b.Write(p)
	q.more.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Broadcast()
}

// takeAll removes and returns all waiting bytes.
func (q *queue) takeAll() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return bytes.Clone(q.b.Next(q.b.Len()))
}

// memConn is one end of a connection in memory.
type memConn struct {
	net.Conn // nil: methods that crypto/tls does not call
	in, out  *queue
	records  bool // read only to the end of the record, and keep written bytes
	boundary Boundary
	written  []byte
}

func (c *memConn) Read(p []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for {
		n := c.in.b.Len()
		if c.records {
			n = c.boundary.Next(c.in.b.Bytes())
		}
		if n > 0 {
			n, _ = c.in.b.Read(p[:min(n, len(p))])
			c.boundary.Advance(n)
			return n, nil
		}
		if c.in.closed {
			return 0, io.EOF
		}
		c.in.more.Wait()
	}
}

func (c *memConn) Write(p []byte) (int, error) {
	if c.records {
		c.written = append(c.written, p...)
	}
	c.out.put(p)
	return len(p), nil
}

func (c *memConn) Close() error                     { return nil }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }
