package session

import "sync"

// gatePlaces is the number of jobs that a Gate lets in: while one waits for a commit, the
// next one is already there.
const gatePlaces = 2

// Gate is for jobs that write one after another, because they need the same lock. Only a few
// of them are let in at a time. The stanzas of clients that find no place wait in a queue, in
// order, as functions: however many they are, they do not occupy the workers that others
// need. The zero value is ready to use.
type Gate struct {
	mu      sync.Mutex
	inside  int
	waiting []func() // each hands its job the place of one that has left
}

// Enter reports whether the turn's job may go on, which then has to call Leave. If not, the
// stanza that it works for must return Write before it has changed anything: it is handled
// again when it has a place. A job that is not for the stanza of a client never waits.
func (g *Gate) Enter(t *Turn) bool {
	if t.place == g {
		t.place = nil
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.mayQueue && g.inside >= gatePlaces {
		t.gate = g
		return false
	}
	g.inside++
	return true
}

// Leave hands the job's place to the next one.
func (g *Gate) Leave() {
	g.mu.Lock()
	if len(g.waiting) == 0 || g.inside > gatePlaces { // more are inside if some do not wait
		g.inside--
		g.mu.Unlock()
		return
	}
	next := g.waiting[0]
	g.waiting[0] = nil
	if g.waiting = g.waiting[1:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	g.mu.Unlock()
	next()
}

// queue has a worker run f when there is a place for it.
func (g *Gate) queue(w *workers, f func(*Turn)) {
	w.expect()
	ready := func() {
		w.submitExpected(func(t *Turn) {
			t.place = g
			f(t)
		})
	}
	g.mu.Lock()
	if g.inside >= gatePlaces {
		g.waiting = append(g.waiting, ready)
		g.mu.Unlock()
		return
	}
	g.inside++ // one has left since Enter was called
	g.mu.Unlock()
	ready()
}

// leaveGate ends a step's part in gates. It returns the gate for which the step has to wait,
// and gives up the place that it has waited for but not used.
func (t *Turn) leaveGate() (wait *Gate) {
	wait, unused := t.gate, t.place
	t.gate, t.place, t.mayQueue = nil, nil, false
	if unused != nil {
		unused.Leave()
	}
	return wait
}
