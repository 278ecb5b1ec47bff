//go:build linux

package poller

import (
	"cmp"
	"container/list"
	"errors"
	"slices"
	"sync"
	"time"
)

// handshakes shares the slots for TLS handshakes among the networks of the peers. A
// handshake without a slot waits.
//
// A network may begin another handshake while it has fewer in progress than there are
// free slots. So a single network gets half of the slots, two networks get a third each,
// and there is always a free slot for a new network: its peer never waits for other
// networks' peers to send something. Waiting handshakes are served network by network, in
// turn.
//
// A peer that is silent during its handshake keeps its slot until its login deadline as
// long as no other handshake needs the slot. If others of its network wait, or no slot is
// free, it loses the slot and its connection after four seconds of silence.
//
// A handshake needs a stack of 16 KB, but a goroutine starts with 2 KB, and growing the
// stack costs as much as a signature. So a goroutine that has finished a handshake waits
// a moment for the next one.
type handshakes struct {
	p    *Poller
	idle chan *stdTLS // passes a handshake to an idle goroutine

	mu         sync.Mutex
	maxSilence time.Duration         // silence after which a peer loses a slot that another handshake needs
	waiting    int                   // number of handshakes without a slot
	active     map[*stdTLS]struct{}  // handshakes with a slot
	networks   map[network]*netQueue // networks with a handshake in progress or waiting
	turns      list.List             // of *netQueue: networks with a waiting handshake, in the order of service
}

// netQueue holds the handshakes of one network.
type netQueue struct {
	network network
	active  int       // handshakes in progress
	waiting list.List // of *stdTLS
	turn    *list.Element
}

const (
	// handshakeIdle is how long an idle goroutine waits for its next handshake.
	handshakeIdle = 100 * time.Millisecond

	// maxSilence is longer than three seconds, after which TCP delivers a packet that was
	// lost twice.
	maxSilence = 4 * time.Second
)

// errSilent ends a handshake that has lost its slot.
var errSilent = errors.New("the peer was silent during its handshake while others waited")

func (h *handshakes) prepare(p *Poller) {
	h.p, h.maxSilence, h.idle = p, maxSilence, make(chan *stdTLS)
	h.active, h.networks = make(map[*stdTLS]struct{}), make(map[network]*netQueue)
}

// free returns the number of free slots, below 0 if there are fewer slots than before.
// Under mu.
func (h *handshakes) free() int { return h.p.config().Handshakes - len(h.active) }

// add starts a handshake or queues it until there is a slot.
func (h *handshakes) add(t *stdTLS) {
	h.p.stats.handshakes.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.networks[t.network]
	if n == nil {
		n = &netQueue{network: t.network}
		h.networks[t.network] = n
	}
	t.place = n.waiting.PushBack(t)
	h.waiting++
	if n.turn == nil {
		n.turn = h.turns.PushBack(n)
	}
	h.beginAll()
}

// cancel removes a waiting handshake from the queue. It returns false if the handshake is
// in progress or done.
func (h *handshakes) cancel(t *stdTLS) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.place == nil {
		return false
	}
	h.dequeue(h.networks[t.network], t)
	h.forget(t.network)
	h.p.stats.handshakes.Add(-1)
	return true
}

// dequeue removes a handshake from its network's queue. Under mu.
func (h *handshakes) dequeue(n *netQueue, t *stdTLS) {
	n.waiting.Remove(t.place)
	t.place = nil
	h.waiting--
	if n.waiting.Len() == 0 {
		h.turns.Remove(n.turn)
		n.turn = nil
	}
}

// forget removes the entry of a network without handshakes. Under mu.
func (h *handshakes) forget(network network) {
	if n := h.networks[network]; n.active == 0 && n.turn == nil {
		delete(h.networks, network)
	}
}

// next dequeues the next handshake that may begin, nil if there is none. Under mu.
func (h *handshakes) next() *stdTLS {
	for range h.turns.Len() {
		if h.free() <= 0 {
			return nil
		}
		n := h.turns.Front().Value.(*netQueue)
		t := n.waiting.Front().Value.(*stdTLS)
		h.turns.MoveToBack(n.turn)
		if n.active > 0 && n.active >= h.free() && t.server || !h.p.unauth.begin(t.c, len(h.active) == 0) {
			continue
		}
		h.dequeue(n, t)
		n.active++
		h.active[t] = struct{}{}
		return t
	}
	return nil
}

// begin starts all handshakes that may begin.
func (h *handshakes) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beginAll()
}

// beginAll starts all handshakes that may begin. Under mu.
func (h *handshakes) beginAll() {
	for t := h.next(); t != nil; t = h.next() {
		select {
		case h.idle <- t:
		default:
			go h.work(t)
		}
	}
}

// work performs handshakes until there has been none for handshakeIdle.
func (h *handshakes) work(t *stdTLS) {
	idle := time.NewTimer(handshakeIdle)
	for t != nil {
		t.handshake()
		h.p.stats.handshakes.Add(-1)
		if t = h.done(t); t != nil {
			continue
		}
		idle.Reset(handshakeIdle)
		select {
		case t = <-h.idle:
		case <-idle.C:
		}
	}
}

// done frees a handshake's slot and returns the next handshake, nil if there is none.
func (h *handshakes) done(t *stdTLS) *stdTLS {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.active, t)
	h.networks[t.network].active--
	h.forget(t.network)
	next := h.next()
	if next != nil {
		h.beginAll()
	}
	return next
}

// tick is called once a second: silent peers lose the slots that other handshakes wait
// for.
func (h *handshakes) tick(now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == 0 {
		return
	}
	h.beginAll() // memory may be available again
	type silent struct {
		t     *stdTLS
		since time.Duration
	}
	var all []silent
	for t := range h.active {
		since := time.Duration(t.silentSince.Load())
		if since != 0 && now-since >= h.maxSilence && t.server && !t.gaveUp && (h.free() <= 0 || h.networks[t.network].turn != nil) {
			all = append(all, silent{t, since})
		}
	}
	slices.SortFunc(all, func(a, b silent) int { return cmp.Compare(a.since, b.since) })
	for _, s := range all[:min(len(all), h.waiting)] {
		s.t.gaveUp = true
		h.p.stats.gaveUp.Add(1)
		s.t.c.loop.post(s.t.c, func(int) { s.t.c.destroy(errors.Join(ErrHandshake, errSilent)) })
	}
}
