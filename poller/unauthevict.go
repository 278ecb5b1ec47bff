//go:build linux

package poller

// unauthList is a list of connections, linked by their indexes, in the order in which
// they began to hold memory.
type unauthList struct{ oldest, newest uint32 }

// append appends a connection to a list; nil means no list. Under mu.
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

// unlist removes a connection from its list. Under mu.
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

// evict ends connections while more than three quarters of the total are in use. Under
// mu.
func (u *unauth) evict() {
	for u.limit > 0 && 4*(u.total-u.leaving) > 3*u.limit {
		i := u.victim()
		if i == 0 {
			return
		}
		u.unlist(i)
		e := &u.conns[i]
		e.leaving = true
		u.leaving += int64(e.held)
		e.c.loop.p.stats.evicted.Add(1)
		u.endEvicted(e.c)
	}
}

// endEvicted ends a connection soon. If its socket is taken from it meanwhile, the next
// connection that gets the socket is to end: see plug.
func (u *unauth) endEvicted(c *Conn) {
	c.loop.post(c, func(int) {
		if c.unauth() { // it may have authenticated in the meantime
			c.outOfMemory()
		}
	})
}

// victim returns the connection to end next, 0 for none: the one that has held memory for
// the longest time. If only connections that wait for a slot remain, it is the one whose
// network holds the most memory, among a few of the oldest. Under mu.
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
