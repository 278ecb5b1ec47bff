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

// handshakes shares the slots for TLS handshakes among the networks that peers
// come from; what gets none waits.
//
// A network may begin one more handshake while it has fewer under way than there
// are free slots. So one network alone gets half of them, two get a third each,
// and there is a slot left for the next one: a peer whose network is new never
// waits for others' peers to say something. Who waits is served network by
// network in turn.
//
// A peer that is silent in the middle of its handshake keeps its slot, until its
// login deadline, while nobody needs the slot. When others of its network wait, or
// there is no free slot at all, and it has been silent for four seconds, it gives up
// the slot and its connection.
//
// A handshake needs a stack of 16 KB, and a goroutine begins with 2: growing it
// costs as much as a signature. So a goroutine that has done one waits a little for
// the next.
type handshakes struct {
	p    *Poller
	idle chan *stdTLS // to a goroutine that waits

	mu         sync.Mutex
	maxSilence time.Duration         // silence after which a peer gives up a slot that another needs
	waiting    int                   // handshakes that have none
	active     map[*stdTLS]struct{}  // have a slot
	networks   map[network]*netQueue // those with a handshake under way or waiting
	turns      list.List             // of *netQueue: those with one that waits
}

// netQueue has the handshakes of one network.
type netQueue struct {
	network network
	active  int       // under way
	waiting list.List // of *stdTLS
	turn    *list.Element
}

const (
	// handshakeIdle is how long a goroutine waits for its next handshake.
	handshakeIdle = 100 * time.Millisecond

	// maxSilence: a packet that was lost twice comes after three seconds.
	maxSilence = 4 * time.Second
)

// errSilent is why a handshake ends that has given up its slot.
var errSilent = errors.New("the peer was silent in its handshake while others waited for theirs")

func (h *handshakes) prepare(p *Poller) {
	h.p, h.maxSilence, h.idle = p, maxSilence, make(chan *stdTLS)
	h.active, h.networks = make(map[*stdTLS]struct{}), make(map[network]*netQueue)
}

// free is the number of free slots. Under mu.
func (h *handshakes) free() int { return h.p.cfg.Handshakes - len(h.active) }

// add begins a handshake, or has it wait for a slot.
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

// cancel takes a handshake out that waits. It reports false when it is under way or
// done.
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

// dequeue takes a handshake off its network's queue. Under mu.
func (h *handshakes) dequeue(n *netQueue, t *stdTLS) {
	n.waiting.Remove(t.place)
	t.place = nil
	h.waiting--
	if n.waiting.Len() == 0 {
		h.turns.Remove(n.turn)
		n.turn = nil
	}
}

// forget forgets a network that has no handshakes. Under mu.
func (h *handshakes) forget(network network) {
	if n := h.networks[network]; n.active == 0 && n.turn == nil {
		delete(h.networks, network)
	}
}

// next takes the next handshake that may begin, nil for none. Under mu.
func (h *handshakes) next() *stdTLS {
	for range h.turns.Len() {
		if h.free() == 0 {
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

// beginAll begins what may begin. Under mu.
func (h *handshakes) beginAll() {
	for t := h.next(); t != nil; t = h.next() {
		select {
		case h.idle <- t:
		default:
			go h.work(t)
		}
	}
}

// work does handshakes until none has come for a while.
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

// done ends a handshake; it returns the next one, nil for none.
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

// tick is called once a second: silent peers give up the slots that others wait
// for.
func (h *handshakes) tick(now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == 0 {
		return
	}
	h.beginAll() // there may be memory again
	type silent struct {
		t     *stdTLS
		since time.Duration
	}
	var all []silent
	for t := range h.active {
		since := time.Duration(t.silentSince.Load())
		if since != 0 && now-since >= h.maxSilence && t.server && !t.gaveUp && (h.free() == 0 || h.networks[t.network].turn != nil) {
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
