package router

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"roost/session"
)

// moves are the sessions that are moving between this node and others, and those that have
// moved away lately.
type moves struct {
	count atomic.Int32 // of those that are moving, in either direction

	mu         sync.Mutex
	last       uint64                // number of the last request
	fetches    map[uint64]*fetching  // requests of this node
	departures map[string]*departing // sessions that other nodes have been sent, by full JID
	moved      map[string][]*moved   // by account; each resource once
	restoring  bool                  // this node is taking the sessions that it has saved
	waiting    []func()              // until it has
}

// fetching is a request of this node for a session.
type fetching struct {
	*session.Fetch
	number uint64
	timer  *time.Timer // until the client no longer waits

	// Under moves.mu.
	looking bool     // for it among the sessions that stopped nodes have saved
	refused bool     // all nodes that were asked first have refused
	tried   []NodeID // that were asked
	asked   []NodeID // of these, those that have not replied
	from    NodeID   // where the session was, once it is here
}

// departing is a session that another node has been sent.
type departing struct {
	*session.Departure
	to     NodeID
	self   NodeID      // this node's, when it was sent
	number uint64      // of that node's request
	timer  *time.Timer // for when that node dies
	list   *Blocklist  // when it was sent
	lapsed bool        // this node has another ID now; owned by the timer
}

// moved is where a session has moved.
type moved struct {
	resource string
	to       NodeID
}

const (
	savedAfter   = 200 * time.Millisecond // after this, what stopped nodes have saved is looked at
	fetchLimit   = 5 * time.Second        // how long a client waits for a session of another node, and then for what follows it
	retryTaken   = time.Second            // when a node whose queue is full is told again that its session was taken
	movedFor     = 10 * time.Second       // how long what is sent to a session that has moved is sent on
	anyResources = 1 << 30                // more than any account has
	maxAskedAll  = 8                      // most nodes that are all asked for a session that is in no directory
)

// departCheck is the time after which, and each time again, it is checked that the other node is
// alive. Tests change it.
var departCheck = 10 * time.Second

// begin adds a request.
func (m *moves) begin(f *session.Fetch, after func(*fetching)) *fetching {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fetches == nil {
		m.fetches = make(map[uint64]*fetching)
	}
	m.last++
	x := &fetching{Fetch: f, number: m.last}
	m.fetches[x.number] = x
	x.timer = time.AfterFunc(fetchLimit, func() { after(x) })
	return x
}

// fetch returns a request, nil if it is over.
func (m *moves) fetch(number uint64) *fetching {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fetches[number]
}

// ask notes that nodes are about to be asked, except those that were before, and returns them.
func (m *moves) ask(x *fetching, nodes []NodeID) (ask []NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range nodes {
		if !slices.Contains(x.tried, n) {
			ask = append(ask, n)
		}
	}
	x.tried = append(x.tried, ask...)
	x.asked = append(x.asked, ask...)
	return ask
}

// refused notes that a node does not have the session, and reports whether no other is left
// that may.
func (m *moves) refused(x *fetching, node NodeID) (last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(x.asked)
	x.asked = without(x.asked, node)
	return before > 0 && len(x.asked) == 0 && x.from == 0
}

func without(all []NodeID, node NodeID) []NodeID {
	var left []NodeID
	for _, n := range all {
		if n != node {
			left = append(left, n)
		}
	}
	return left
}

// arrived notes that the session is here now.
func (m *moves) arrived(x *fetching, from NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.from = from
}

// end removes a request.
func (m *moves) end(x *fetching) {
	x.timer.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.fetches, x.number)
}

// depart adds a session that is sent to another node.
func (m *moves) depart(full string, d *departing, check func()) {
	m.count.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.departures == nil {
		m.departures = make(map[string]*departing)
	}
	m.departures[full] = d
	d.timer = time.AfterFunc(departCheck, check)
}

// departure returns the session with this full JID that is moving, nil if there is none.
func (m *moves) departure(full string) *departing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.departures[full]
}

// settle removes and returns the session that the request of a node was for, nil if it is not
// moving.
func (m *moves) settle(full string, number uint64) *departing {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.departures[full]
	if d == nil || d.number != number {
		return nil
	}
	d.timer.Stop()
	delete(m.departures, full)
	return d
}

// remember notes where a session has moved, for a while.
func (m *moves) remember(account, resource string, to NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moved == nil {
		m.moved = make(map[string][]*moved)
	}
	m.drop(account, func(x *moved) bool { return x.resource == resource })
	now := &moved{resource, to}
	m.moved[account] = append(m.moved[account], now)
	time.AfterFunc(movedFor, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.drop(account, func(x *moved) bool { return x == now })
	})
}

// forget is called when a session has come here.
func (m *moves) forget(account, resource string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(account, func(x *moved) bool { return x.resource == resource })
}

// drop forgets where sessions of an account have moved. The caller holds mu.
func (m *moves) drop(account string, which func(*moved) bool) {
	if left := slices.DeleteFunc(m.moved[account], which); len(left) > 0 {
		m.moved[account] = left
	} else {
		delete(m.moved, account)
	}
}

// where returns where a session has moved lately, 0 if it has not.
func (m *moves) where(account, resource string) NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.moved[account] {
		if x.resource == resource {
			return x.to
		}
	}
	return 0
}

// movedOf returns the sessions of an account that have moved away lately.
func (m *moves) movedOf(account string) (all []moved) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.moved[account] {
		all = append(all, *x)
	}
	return all
}

// movedTo returns the nodes to which sessions of an account have moved lately.
func (m *moves) movedTo(account string) (nodes []NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.moved[account] {
		if !slices.Contains(nodes, x.to) {
			nodes = append(nodes, x.to)
		}
	}
	return nodes
}

// leaving returns the nodes to which sessions of an account are moving.
func (m *moves) leaving(account string) (to []NodeID) {
	if m.count.Load() == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.departures {
		if d.Session().BareJID() == account {
			to = append(to, d.to)
		}
	}
	return to
}

// whenRestored calls f when this node has the sessions that it has saved.
func (m *moves) whenRestored(f func()) {
	m.mu.Lock()
	restoring := m.restoring
	if restoring {
		m.waiting = append(m.waiting, f)
	}
	m.mu.Unlock()
	if !restoring {
		f()
	}
}

// look notes that a session is to be looked for among those that were saved, and reports whether
// the caller has to; over is true if that has been done after all nodes have refused. refused
// says whether they have.
func (m *moves) look(x *fetching, refused bool) (look, over bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.refused {
		return false, refused
	}
	x.refused = refused
	look = !x.looking
	x.looking = true
	return look, false
}

// looked ends look, unless it has to be repeated because all nodes have refused meanwhile.
func (m *moves) looked(x *fetching) (done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.looking = x.refused
	return !x.refused
}

// allRefused reports whether all nodes that were asked first have refused.
func (m *moves) allRefused(x *fetching) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return x.refused
}
