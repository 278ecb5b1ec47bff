//go:build linux

package poller

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"roost/internal/peernet"
)

// ErrMemory ends a connection whose peer has not authenticated, when it holds more
// memory than it may, or when the memory is needed for others. It is
// unix.ENOMEM as far as errors.Is is concerned, so that a handler need not know
// this package to tell it from a deadline.
var ErrMemory = fmt.Errorf("poller: memory for peers that are not authenticated: %w", unix.ENOMEM)

// unauth counts the memory that is held for peers that have not authenticated, and
// limits it: Config.UnauthMemory bytes in all.
//
//   - A connection may hold maxUnauth bytes besides what TLS needs.
//   - A network may hold as much as is free: alone half of the whole, two networks a
//     third each, and so on. What exceeds that ends its connection.
//   - Handshakes that wait for a slot may take half of that: they must be able to
//     begin.
//   - When three quarters of the whole are taken, which needs at least three
//     networks, the connections that have held something for longest end; after all
//     others those that wait for a slot, which they do not do of their own will. So
//     there is room for newcomers.
//
// A connection is counted from its accept until Authenticated. While it is, Conn.peer
// is its index here, and its place in addresses is kept here: afterwards nothing
// is left of it.
type unauth struct {
	limit int64 // bytes; 0: nothing is counted

	mu       sync.Mutex
	total    int64
	leaving  int64        // of it, by connections that were told to end
	conns    []unauthConn // from 1 on
	free     []uint32     // indexes in conns
	networks map[network]*unauthNetwork

	waiting unauthList // connections that hold nothing but what waits for a slot
	others  unauthList // the other ones that hold something
}

// unauthList is a list of connections, linked by their indexes, by since when they
// hold something.
type unauthList struct{ oldest, newest uint32 }

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

// heldKind is what memory is held for.
type heldKind uint8

const (
	heldQueue   heldKind = iota // a ClientHello that waits for a slot
	heldTLS                     // a ClientHello that is not whole, a handshake under way, or the record layer
	heldInput                   // input that the handler has not used
	heldHandler                 // what the handler holds
	heldOutbox                  // output that the socket has not taken
	heldKinds
)

const (
	// maxUnauth is what is held for one connection, in bytes, TLS excepted.
	maxUnauth = 64 << 10

	// unauthRead is how much is read at once of a peer that has not authenticated, in
	// bytes.
	unauthRead = 8 << 10

	// unauthOutbox limits the outbox of a peer that has not authenticated, in bytes.
	unauthOutbox = 64 << 10

	// handshakeBytes is a handshake under way: its stack, and what crypto/tls
	// allocates for it. Measured: 24 to 34 KB.
	handshakeBytes = 32 << 10

	// stdTLSBytes is crypto/tls after the handshake, with part of a record.
	stdTLSBytes = 24 << 10

	// unauthFlag in Conn.peer: it is an index in unauth.conns.
	unauthFlag = 1 << 31
)

// enter begins to count a connection that was accepted, which has this place in
// addresses.
func (u *unauth) enter(c *Conn, from network, place peerIndex) {
	if u.limit <= 0 {
		c.peer.Store(uint32(place))
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
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

// leave ends the counting of a connection, if it is counted, and returns its place
// in addresses.
func (u *unauth) leave(c *Conn) peerIndex {
	if i, counted := c.unauthIndex(); !counted {
		return peerIndex(i)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	i, counted := c.unauthIndex()
	if !counted {
		return peerIndex(i) // another goroutine was faster
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
	if len(u.networks) == 0 { // what a crowd needed is given back
		u.networks, u.conns, u.free = nil, nil, nil
	}
	c.peer.Store(uint32(place))
	return place
}

// set says how many bytes a connection holds for something. Where it must not be
// so many it returns false, and nothing has changed: the connection has to end.
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

// wait turns a ClientHello that was not whole into one that waits for a slot, if
// there is memory for that.
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

// begin turns a ClientHello that has waited into a handshake under way, if there is
// memory for it. must says that there has to be.
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

// allows reports whether a connection may hold n bytes for something. Under mu.
func (u *unauth) allows(e *unauthConn, kind heldKind, n int64) bool {
	more := n - int64(e.parts[kind])
	if more <= 0 {
		return true
	}
	if kind > heldTLS && int64(e.held-e.parts[heldQueue]-e.parts[heldTLS])+more > maxUnauth {
		return false
	}
	free := u.limit - u.total - more
	if kind == heldQueue && 2*(e.net.queued+more) > free {
		return false
	}
	return e.net.held+more <= free
}

// change sets what a connection holds for something. Under mu.
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

// append appends a connection to a list; nil is none. Under mu.
func (u *unauth) append(l *unauthList, i uint32) {
	e := &u.conns[i]
	e.list = l
	if l == nil {
		return
	}
	e.prev, e.next = l.newest, 0
	if l.newest != 0 {
		u.conns[l.newest].next = i
	} else {
		l.oldest = i
	}
	l.newest = i
}

// unlist takes a connection off its list. Under mu.
func (u *unauth) unlist(i uint32) {
	e := &u.conns[i]
	l := e.list
	if l == nil {
		return
	}
	e.list = nil
	if e.prev != 0 {
		u.conns[e.prev].next = e.next
	} else {
		l.oldest = e.next
	}
	if e.next != 0 {
		u.conns[e.next].prev = e.prev
	} else {
		l.newest = e.prev
	}
}

// evict tells connections to end while more than three quarters are taken. Under
// mu.
func (u *unauth) evict() {
	for 4*(u.total-u.leaving) > 3*u.limit {
		i := u.victim()
		if i == 0 {
			return
		}
		u.unlist(i)
		e := &u.conns[i]
		e.leaving = true
		u.leaving += int64(e.held)
		e.c.loop.p.stats.evicted.Add(1)
		c := e.c // e is another connection's before long
		c.loop.post(c, func(int) {
			if c.unauth() { // it may have authenticated meanwhile
				c.outOfMemory()
			}
		})
	}
}

// victim is the connection that is to end next, 0 for none: the one that has held
// something for longest. Of those that wait for a slot it is one whose network holds
// most, among a few of the oldest. Under mu.
func (u *unauth) victim() uint32 {
	if u.others.oldest != 0 {
		return u.others.oldest
	}
	const few = 16
	worst := u.waiting.oldest
	for i, n := worst, 0; i != 0 && n < few; i, n = u.conns[i].next, n+1 {
		if u.conns[i].net.held > u.conns[worst].net.held {
			worst = i
		}
	}
	return worst
}

// held is what is held in all, in bytes.
func (u *unauth) held() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// unauth reports whether the connection is counted: limits are tighter then.
func (c *Conn) unauth() bool { return c.peer.Load()&unauthFlag != 0 }

// unauthIndex is the connection's index in unauth.conns while it is counted, and its
// place in addresses otherwise.
func (c *Conn) unauthIndex() (i uint32, counted bool) {
	i = c.peer.Load()
	return i &^ unauthFlag, i&unauthFlag != 0
}

// hold says how many bytes the connection holds for something; where that is too
// much, it ends. Loop.
func (c *Conn) hold(kind heldKind, n int) {
	if !c.loop.p.unauth.set(c, kind, n) {
		c.outOfMemoryLater()
	}
}

// outOfMemoryLater ends a connection that must not hold what has come, from within whatever
// it came to. Loop.
func (c *Conn) outOfMemoryLater() {
	c.paused = true
	c.loop.post(c, func(int) { c.outOfMemory() })
}

// outOfMemory ends a connection for what it holds; its handler may say so. Loop, and
// not from within a callback of the operator.
func (c *Conn) outOfMemory() {
	if !c.closing() {
		c.expire(ErrMemory)
	}
}

// Hold says how many bytes the handler holds for a peer that has not authenticated;
// it replaces what was said before. False means that it must not be so many: the
// handler has to end the connection. After Authenticated it is always true. Only the
// goroutine that handles the connection's input may call it.
func (c *Conn) Hold(n int) bool { return c.loop.p.unauth.set(c, heldHandler, n) }

// Authenticated says that the peer has authenticated: nothing is counted any more,
// and the limits for strangers do not hold. It may be called from any goroutine.
func (c *Conn) Authenticated() { c.loop.p.unauth.leave(c) }

// shareNetwork is the network whose share a peer's connection has. Loopback is not
// exempt: a share costs nothing while nobody else needs memory.
var shareNetwork = peernet.Distinct
