//go:build linux

package poller

import "sync"

// handshakes bounds the TLS handshakes under way; those past the bound wait.
type handshakes struct {
	mu      sync.Mutex
	free    int
	waiting []*stdTLS
}

func (h *handshakes) add(p *Poller, t *stdTLS) {
	p.stats.handshakes.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.free == 0 {
		h.waiting = append(h.waiting, t)
		return
	}
	h.free--
	go h.work(p, t)
}

// work does handshakes until none waits.
func (h *handshakes) work(p *Poller, t *stdTLS) {
	for {
		t.shake()
		p.stats.handshakes.Add(-1)
		h.mu.Lock()
		if len(h.waiting) == 0 {
			h.free++
			h.mu.Unlock()
			return
		}
		t = h.waiting[0]
		h.waiting[0] = nil
		h.waiting = h.waiting[1:]
		h.mu.Unlock()
	}
}
