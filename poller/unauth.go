//go:build linux

package poller

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"roost/internal/peernet"
)

// ErrMemory ends a connection whose peer has not authenticated if it holds more memory
// than allowed or if the memory is needed for others. It wraps unix.ENOMEM, so that a
// handler can tell it from a deadline without importing this package.
var ErrMemory = fmt.Errorf("poller: limit of memory before authentication: %w", unix.ENOMEM)

// unauth counts the memory held for peers that have not authenticated, and limits it to
// Config.UnauthMemory bytes in total.
//
//   - A connection may hold maxUnauth bytes in addition to the memory for TLS.
//   - A network may hold at most as much as is still free: a single network half of the
//     total, two networks a third each, and so on. A connection that would exceed this
//     ends.
//   - Handshakes that wait for a slot may take half of that, so that they can also begin.
//   - When three quarters of the total are in use, which takes at least three networks,
//     the connections that have held memory for the longest time end, to make room for
//     new ones. Those that wait for a slot end last, because the wait is not their fault.
//
// A connection is counted from its accept until Authenticated. During that time Conn.peer
// is its index here, and the index of its entry in addresses is stored here; afterwards
// its entry here is free.
type unauth struct {
	mu       sync.Mutex
	limit    int64 // bytes; 0: no limit, and new connections are not counted
	total    int64
	leaving  int64        // the part of total that ending connections hold
	conns    []unauthConn // from 1 on
	free     []uint32     // indexes in conns
	networks map[network]*unauthNetwork

	waiting unauthList // connections that hold only a ClientHello that waits for a slot
	others  unauthList // other connections that hold memory
}

type unauthNetwork struct {
	network      network
	conns        int
	held, queued int64 // bytes
}

type unauthConn struct {
	c          *Conn
	net        *unauthNetwork
	peer       peerIndex
	parts      [heldKinds]int32 // bytes
	held       int32            // their sum
	list       *unauthList      // nil: none
	prev, next uint32           // in the list
	leaving    bool
}

// heldKind is the purpose for which memory is held.
type heldKind uint8

const (
	heldQueue   heldKind = iota // a ClientHello that waits for a slot
	heldTLS                     // an incomplete ClientHello, a handshake in progress, or the record layer
	heldFrames                  // a request or part of a frame of a WebSocket connection
	heldInput                   // input that the handler has not consumed
	heldHandler                 // memory of the handler, see Conn.Hold
	heldOutbox                  // output that the socket has not accepted
	heldKinds
)

const (
	// maxUnauth limits the memory held for one connection, in bytes, without TLS.
	maxUnauth = 64 << 10

	// unauthRead is the size in bytes of one read from a peer that has not authenticated.
	unauthRead = 8 << 10

	// unauthOutbox limits the outbox of a peer that has not authenticated, in bytes.
	unauthOutbox = 64 << 10

	// handshakeBytes is the memory of a handshake in progress: its goroutine's stack and
	// the allocations of crypto/tls. Measured: 24 to 34 KB.
	handshakeBytes = 32 << 10

	// stdTLSBytes is the memory of crypto/tls after the handshake, with part of a record.
	stdTLSBytes = 24 << 10

	// unauthFlag is set in Conn.peer while that is an index in unauth.conns.
	unauthFlag = 1 << 31
)

// setLimit sets the limit in bytes; 0 or less is none.
func (u *unauth) setLimit(limit int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.limit = int64(max(0, limit))
	u.evict()
}

// enter starts counting an accepted connection; place is its entry in addresses.
func (u *unauth) enter(c *Conn, from network, place peerIndex) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limit == 0 {
		c.peer.Store(uint32(place))
		return
	}
	if u.networks == nil {
		u.networks = make(map[network]*unauthNetwork)
		u.conns = make([]unauthConn, 1)
	}
	n := u.networks[from]
	if n == nil {
		n = &unauthNetwork{network: from}
		u.networks[from] = n
	}
	n.conns++
	var i uint32
	if last := len(u.free) - 1; last >= 0 {
		i, u.free = u.free[last], u.free[:last]
	} else {
		i = uint32(len(u.conns))
		u.conns = append(u.conns, unauthConn{})
	}
	u.conns[i] = unauthConn{c: c, net: n, peer: place}
	c.peer.Store(i | unauthFlag)
}

// leave stops counting the connection or socket that this entry belongs to, if it is
// counted, and returns the peer's entry in addresses.
func (u *unauth) leave(entry *atomic.Uint32) peerIndex {
	if i, counted := unauthIndex(entry); !counted {
		return peerIndex(i)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	i, counted := unauthIndex(entry)
	if !counted {
		return peerIndex(i) // another goroutine came first
	}
	e := &u.conns[i]
	for kind := range heldKinds {
		u.change(i, kind, 0)
	}
	if e.net.conns--; e.net.conns == 0 {
		delete(u.networks, e.net.network)
	}
	place := e.peer
	*e = unauthConn{}
	u.free = append(u.free, i)
	if len(u.networks) == 0 { // free what many connections needed
		u.networks, u.conns, u.free = nil, nil, nil
	}
	entry.Store(uint32(place))
	return place
}

// unplug moves the entry of a connection, counted or not, to the socket that is taken from
// it. What was counted still is.
func (u *unauth) unplug(c *Conn, x *Socket) {
	u.mu.Lock()
	defer u.mu.Unlock()
	x.peer.Store(c.peer.Swap(0))
}

// plug moves the entry of a socket to the connection that gets it, which ends if the memory
// is needed for others. Loop.
func (u *unauth) plug(x *Socket, c *Conn) {
	u.mu.Lock()
	c.peer.Store(x.peer.Swap(0))
	i, counted := c.unauthIndex()
	leaving := false
	if counted {
		u.conns[i].c, leaving = c, u.conns[i].leaving
	}
	u.mu.Unlock()
	if leaving {
		u.endEvicted(c)
	}
}

// set sets how many bytes a connection holds for a purpose. If that is more than allowed,
// it returns false and changes nothing: the caller has to end the connection.
func (u *unauth) set(c *Conn, kind heldKind, n int) bool {
	if !c.unauth() {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	i, counted := c.unauthIndex()
	if !counted {
		return true
	}
	if !u.allows(&u.conns[i], kind, int64(n)) {
		return false
	}
	u.change(i, kind, int32(n))
	u.evict()
	return true
}

// wait recounts a ClientHello that is now complete as one that waits for a slot. It
// returns false if there is no memory for that.
func (u *unauth) wait(c *Conn) bool {
	if !c.unauth() {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	i, counted := c.unauthIndex()
	if !counted {
		return true
	}
	n := u.conns[i].parts[heldTLS]
	u.change(i, heldTLS, 0)
	if !u.allows(&u.conns[i], heldQueue, int64(n)) {
		return false
	}
	u.change(i, heldQueue, n)
	return true
}

// begin recounts a waiting ClientHello as a handshake in progress. It returns false if
// there is no memory for that, unless must is set.
func (u *unauth) begin(c *Conn, must bool) bool {
	if !c.unauth() {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	i, counted := c.unauthIndex()
	if !counted {
		return true
	}
	n := u.conns[i].parts[heldQueue] + handshakeBytes
	if !must && !u.allows(&u.conns[i], heldTLS, int64(n)) {
		return false
	}
	u.change(i, heldQueue, 0)
	u.change(i, heldTLS, n)
	u.evict()
	return true
}

// allows reports whether a connection may hold n bytes for a purpose. Under mu.
func (u *unauth) allows(e *unauthConn, kind heldKind, n int64) bool {
	more := n - int64(e.parts[kind])
	if more <= 0 {
		return true
	}
	if kind > heldTLS && int64(e.held-e.parts[heldQueue]-e.parts[heldTLS])+more > maxUnauth {
		return false
	}
	if u.limit == 0 {
		return true
	}
	free := u.limit - u.total - more
	if kind == heldQueue && 2*(e.net.queued+more) > free {
		return false
	}
	return e.net.held+more <= free
}

// change sets the number of bytes that a connection holds for a purpose. Under mu.
func (u *unauth) change(i uint32, kind heldKind, n int32) {
	e := &u.conns[i]
	more := int64(n - e.parts[kind])
	if more == 0 {
		return
	}
	e.parts[kind] = n
	e.held += int32(more)
	e.net.held += more
	u.total += more
	if kind == heldQueue {
		e.net.queued += more
	}
	if e.leaving {
		u.leaving += more
		return
	}
	list := &u.others
	switch e.held {
	case 0:
		list = nil
	case e.parts[heldQueue]:
		list = &u.waiting
	}
	if list != e.list {
		u.unlist(i)
		u.append(list, i)
	}
}

// held returns the total in bytes.
func (u *unauth) held() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// unauth reports whether the connection is counted; then its limits are tighter.
func (c *Conn) unauth() bool { return c.peer.Load()&unauthFlag != 0 }

// unauthIndex returns the connection's index in unauth.conns while it is counted, and its
// index in addresses otherwise.
func (c *Conn) unauthIndex() (i uint32, counted bool) { return unauthIndex(&c.peer) }

// unauthIndex is Conn.unauthIndex for a connection's or a socket's entry.
func unauthIndex(entry *atomic.Uint32) (i uint32, counted bool) {
	i = entry.Load()
	return i &^ unauthFlag, i&unauthFlag != 0
}

// hold sets how many bytes the connection holds for a purpose; if that is too much, the
// connection ends. Loop.
func (c *Conn) hold(kind heldKind, n int) {
	if !c.loop.p.unauth.set(c, kind, n) {
		c.outOfMemoryLater()
	}
}

// outOfMemoryLater ends a connection whose input exceeds the limit, from within a
// callback. Loop.
func (c *Conn) outOfMemoryLater() {
	c.paused = true
	c.loop.post(c, func(int) { c.outOfMemory() })
}

// outOfMemory ends a connection that holds too much memory; its handler may tell the
// peer. Loop, and not from within a callback of the operator.
func (c *Conn) outOfMemory() {
	if !c.closing() {
		c.expire(ErrMemory)
	}
}

// Hold sets how many bytes the handler holds for a peer that has not authenticated, in
// place of the number set before. If it returns false, that is more than allowed, and the
// handler has to end the connection. After Authenticated it always returns true. Only the
// goroutine that handles the connection's input may call it.
func (c *Conn) Hold(n int) bool { return c.loop.p.unauth.set(c, heldHandler, n) }

// Authenticated tells the poller that the peer's login is complete: its memory is no longer
// counted, and the limits for unauthenticated peers no longer apply. Until then, a peer that
// has proved its identity is one that has not authenticated. It may be called from any
// goroutine.
func (c *Conn) Authenticated() { c.loop.p.unauth.leave(&c.peer) }

// shareNetwork returns the network against whose share a peer's connection counts.
// Loopback is not exempt: a share costs nothing while no other network needs memory.
var shareNetwork = peernet.Distinct
