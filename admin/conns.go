package admin

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"slices"
	"sync"

	"roost/internal/unixsock"
)

// limited is a listener with at most maxConns connections; more wait in the kernel's
// queue. Of those by TCP that have not sent a valid token the oldest is closed if there are
// more than maxUntrusted, so that nobody can keep operators out by holding connections.
type limited struct {
	net.Listener
	slots  chan struct{} // has an element for each connection
	closed chan struct{}
	once   sync.Once

	mu        sync.Mutex
	untrusted []*conn // oldest first
}

func limitConns(l net.Listener) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, maxConns), closed: make(chan struct{})}
}

// Accept is called by net/http.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	accepted, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	c := &conn{Conn: accepted, limited: l}
	c.peer = peerOf(accepted)
	if !c.peer.local {
		c.peer.trust = c.trust
		l.suspect(c)
	}
	return c, nil
}

// suspect adds a connection to the untrusted ones, and closes the oldest if there are too
// many.
func (l *limited) suspect(c *conn) {
	l.mu.Lock()
	l.untrusted = append(l.untrusted, c)
	var oldest *conn
	if len(l.untrusted) > maxUntrusted {
		oldest = l.untrusted[0]
	}
	l.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

// Close is called by net/http.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn is a connection of a limited listener.
type conn struct {
	net.Conn
	limited *limited
	peer    peer
	once    sync.Once
}

// trust takes the connection out of the untrusted ones.
func (c *conn) trust() {
	l := c.limited
	l.mu.Lock()
	defer l.mu.Unlock()
	l.untrusted = slices.DeleteFunc(l.untrusted, func(other *conn) bool { return other == c })
}

// Close is called by net/http.
func (c *conn) Close() error {
	defer c.once.Do(func() {
		c.trust()
		<-c.limited.slots
	})
	return c.Conn.Close()
}

// peer is what is at the other end of a connection.
type peer struct {
	local bool   // the connection came by the Unix socket
	uid   uint32 // then: the user of the process
	trust func() // to be called when it has sent a valid token; nil: need not be
}

// nobody is a user without rights: no user has this ID (credentials(7)).
const nobody = ^uint32(0)

func peerOf(c net.Conn) peer {
	if _, unix := c.(*net.UnixConn); !unix {
		return peer{}
	}
	uid, ok := unixsock.PeerUID(c)
	if !ok {
		uid = nobody
	}
	return peer{local: true, uid: uid}
}

// allowed reports whether a local peer may use the interface. Its socket's mode does not
// let others connect, unless somebody has changed it.
func (p peer) allowed() bool { return p.uid == 0 || int(p.uid) == os.Geteuid() }

type peerKey struct{}

// withPeer adds the peer to the context of a connection's requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	var p peer
	if c, ok := c.(*conn); ok {
		p = c.peer
	}
	return withPeerValue(ctx, p)
}

func withPeerValue(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}
