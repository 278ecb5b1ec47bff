//go:build linux

package poller

import (
	"sync"
	"time"
)

// handshakes bounds the TLS handshakes under way; those past the bound wait.
//
// A handshake needs a stack of 16 KB, and a goroutine begins with 2: growing it
// costs as much as a signature. So a goroutine that has done one waits a little for
// the next.
type handshakes struct {
	mu      sync.Mutex
	free    int
	waiting []*stdTLS
	idle    chan *stdTLS // to a goroutine that waits
}

// idleShaker is how long a goroutine waits for its next handshake.
const idleShaker = 100 * time.Millisecond

func (h *handshakes) prepare(bound int) { h.free, h.idle = bound, make(chan *stdTLS) }

func (h *handshakes) add(p *Poller, t *stdTLS) {
	p.stats.handshakes.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.free == 0 {
		h.waiting = append(h.waiting, t)
		return
	}
	h.free--
	select {
	case h.idle <- t:
	default:
		go h.work(p, t)
	}
}

// work does handshakes until none has come for a while.
func (h *handshakes) work(p *Poller, t *stdTLS) {
	rest := time.NewTimer(idleShaker)
	for t != nil {
		t.shake()
		p.stats.handshakes.Add(-1)
		if t = h.done(); t != nil {
			continue
		}
		rest.Reset(idleShaker)
		select {
		case t = <-h.idle:
		case <-rest.C:
		}
	}
}

// done ends a handshake; it returns the next one that waits, nil for none.
func (h *handshakes) done() (t *stdTLS) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		h.free++
		return nil
	}
	t = h.waiting[0]
	h.waiting[0] = nil
	h.waiting = h.waiting[1:]
	return t
}
