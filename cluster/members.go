package cluster

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"roost/router"
)

// members are the nodes that the engine knew when it was last asked. Immutable.
type members struct {
	alive  map[uint64]string // names by epoch, this node included
	dead   []uint64          // nodes whose leases are over, and that are not cleaned up yet
	others []router.NodeID   // those alive except this one, in the order of their epochs
	known  uint64            // the newest epoch: nodes up to it that are not alive are dead
	differ []string          // names of those alive with other domains than this one, sorted
	first  time.Duration     // until the first lease of others is over, if none is renewed
}

// isDead reports whether a node can be treated as dead. One that is not known yet may just
// have joined.
func (m *members) isDead(epoch uint64) bool { return epoch <= m.known && m.alive[epoch] == "" }

// awaitsCleaning reports whether a dead node has something left in the engine.
func (m *members) awaitsCleaning(epoch uint64) bool {
	_, found := slices.BinarySearch(m.dead, epoch)
	return found
}

// newcomers are nodes that have sent this one something before it has read of them: when each has
// first done that. Also written by the goroutine that receives.
type newcomers struct {
	mu    sync.Mutex // held while Node.members is replaced
	heard map[uint64]time.Duration
}

// setMembers takes over what the engine knows of the nodes.
func (n *Node) setMembers(r nodesReply) {
	self, before := n.epoch.Load(), n.members.Load()
	if before.alive != nil && r.gen != n.lease.gen {
		n.lease.grace = n.now() + n.config.Lease
	}
	n.lease.gen = r.gen
	grace, _ := strconv.ParseInt(r.fields["grace"], 10, 64) // until then, no node counts as dead
	m := &members{alive: map[uint64]string{self: n.config.Name}, known: max(r.id, self, before.known), first: n.config.Lease}
	for field, value := range r.fields {
		epoch, err := strconv.ParseUint(field, 10, 64)
		if err != nil || epoch == self {
			continue // not a node, or this one
		}
		part := strings.SplitN(value, " ", 5)
		if len(part) != 5 {
			continue
		}
		expiry, _ := strconv.ParseInt(part[0], 10, 64)
		if left := time.Duration(max(expiry, grace)-r.now) * time.Millisecond; part[1] == "0" && left > 0 {
			m.alive[epoch] = part[4]
			m.first = min(m.first, left)
		} else {
			m.dead = append(m.dead, epoch)
		}
	}
	slices.Sort(m.dead)
	own := *n.domains.Load()
	for epoch, name := range m.alive {
		if theirs := r.fields[domainsField+strconv.FormatUint(epoch, 10)]; epoch != self && own != "" && theirs != "" && theirs != own {
			m.differ = append(m.differ, name)
		}
	}
	slices.Sort(m.differ)
	if n.now() < n.lease.grace {
		for epoch, name := range before.alive {
			if !m.awaitsCleaning(epoch) && (epoch == self || name != n.config.Name) {
				m.alive[epoch] = name
			}
		}
	}
	n.newcomers.mu.Lock()
	before = n.members.Load()
	known := m.known
	for epoch, heard := range n.newcomers.heard {
		switch {
		case epoch <= m.known:
			delete(n.newcomers.heard, epoch)
		case n.now()-heard > n.config.Lease: // the engine has lost it, and it has not come back
			delete(n.newcomers.heard, epoch)
			known = max(known, epoch)
		default: // it has joined since the reply was made
			m.add(epoch)
		}
	}
	m.known = known
	m.listOthers(self)
	n.members.Store(m)
	n.newcomers.mu.Unlock()
	if !maps.Equal(before.alive, m.alive) || !slices.Equal(before.dead, m.dead) {
		for epoch := range before.alive {
			if m.alive[epoch] == "" {
				n.cache.clear() // it may have entries of this node
			}
		}
		n.notify()
	}
}

// add adds a node whose name is not known yet.
func (m *members) add(epoch uint64) { m.alive[epoch] = "number " + strconv.FormatUint(epoch, 10) }

// listOthers sets others.
func (m *members) listOthers(self uint64) {
	m.others = nil
	for _, epoch := range slices.Sorted(maps.Keys(m.alive)) {
		if epoch != self {
			m.others = append(m.others, router.NodeID(epoch))
		}
	}
}

// hear adds a node that has sent this one something to the others. If it has just joined, this
// one would read of it only when it renews its lease, and would not tell it until then what it
// tells all.
func (n *Node) hear(epoch uint64) {
	if m := n.members.Load(); epoch <= m.known || m.alive[epoch] != "" {
		return
	}
	n.newcomers.mu.Lock()
	defer n.newcomers.mu.Unlock()
	m := *n.members.Load()
	if epoch <= m.known || m.alive[epoch] != "" {
		return
	}
	if n.newcomers.heard == nil {
		n.newcomers.heard = make(map[uint64]time.Duration)
	}
	n.newcomers.heard[epoch] = n.now()
	m.alive = maps.Clone(m.alive)
	m.add(epoch)
	m.listOthers(n.epoch.Load())
	n.members.Store(&m)
	n.notify()
	n.hurry() // to learn its name
}

// Others are the other nodes that are alive.
func (n *Node) Others() []router.NodeID { return slices.Clone(n.members.Load().others) }
