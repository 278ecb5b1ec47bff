package session

import (
	"sync"

	"roost/internal/peernet"
)

// keyQueue lets networks take turns at the workers that derive keys. Each network has one
// derivation running or in the workers' queue; its others wait for that one. However many
// derivations one network requests, a client of another network waits for at most one
// derivation of each network. Loopback may use all workers, because a proxy there may hide
// many networks.
type keyQueue struct {
	pool  *workers
	local int // concurrent derivations allowed for loopback

	mu       sync.Mutex
	networks map[peernet.Network]*keyNetwork
	waiting  int
}

// keyNetwork is a network with derivations to do.
type keyNetwork struct {
	running int
	waiting []func(*Turn)
}

func newKeyQueue(pool *workers, local int) *keyQueue {
	return &keyQueue{pool: pool, local: local, networks: make(map[peernet.Network]*keyNetwork)}
}

// submit runs f on a worker when it is the network's turn. It returns false after the
// workers were closed.
func (q *keyQueue) submit(from peernet.Network, f func(*Turn)) bool {
	q.mu.Lock()
	n := q.networks[from]
	if n == nil {
		n = new(keyNetwork)
		q.networks[from] = n
	}
	limit := 1
	if from == peernet.Loopback {
		limit = q.local
	}
	if n.running >= limit {
		n.waiting = append(n.waiting, f)
		q.waiting++
		q.mu.Unlock()
		return true
	}
	n.running++
	q.mu.Unlock()
	return q.run(from, f)
}

func (q *keyQueue) run(from peernet.Network, f func(*Turn)) bool {
	return q.pool.submit(func(t *Turn) {
		defer func() { // also if f panics
			if f := q.next(from); f != nil {
				q.run(from, f)
			}
		}()
		f(t)
	})
}

// next removes the next derivation of a network that has finished one. It returns nil if
// none is waiting.
func (q *keyQueue) next(from peernet.Network) func(*Turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.networks[from]
	if len(n.waiting) == 0 {
		if n.running--; n.running == 0 {
			delete(q.networks, from)
		}
		return nil
	}
	f := n.waiting[0]
	n.waiting[0] = nil
	n.waiting = n.waiting[1:]
	q.waiting--
	return f
}

// left returns the number of derivations that wait for others of their network.
func (q *keyQueue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}
