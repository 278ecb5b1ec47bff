package session

import (
	"sync"
)

// workers is a bounded number of goroutines for what may block: the store and
// key derivation. The queue needs no bound of its own: a session has at most
// one job in it, because its reading is paused until the job is done.
type workers struct {
	mu    sync.Mutex
	ready sync.Cond
	queue []func(*Turn) // a ring
	head  int
	count int
	stop  bool
	done  sync.WaitGroup
}

func newWorkers(m *Manager, n int) *workers {
	w := &workers{queue: make([]func(*Turn), 64)}
	w.ready.L = &w.mu
	w.done.Add(n)
	for range n {
		go w.run(newTurn(m, -1))
	}
	return w
}

func (w *workers) run(t *Turn) {
	defer w.done.Done()
	for {
		w.mu.Lock()
		for w.count == 0 && !w.stop {
			w.ready.Wait()
		}
		if w.count == 0 {
			w.mu.Unlock()
			return
		}
		f := w.pop()
		w.mu.Unlock()
		f(t)
		t.end()
	}
}

func (w *workers) pop() func(*Turn) {
	f := w.queue[w.head]
	w.queue[w.head] = nil
	w.head = (w.head + 1) % len(w.queue)
	w.count--
	if w.count == 0 && len(w.queue) > 4096 {
		// What a storm needed is given back after it.
		w.queue, w.head = make([]func(*Turn), 64), 0
	}
	return f
}

// submit has f run soon on a worker. It reports false after close.
func (w *workers) submit(f func(*Turn)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop {
		return false
	}
	if w.count == len(w.queue) {
		bigger := make([]func(*Turn), 2*len(w.queue))
		n := copy(bigger, w.queue[w.head:])
		copy(bigger[n:], w.queue[:w.head])
		w.queue, w.head = bigger, 0
	}
	w.queue[(w.head+w.count)%len(w.queue)] = f
	w.count++
	w.ready.Signal()
	return true
}

// waiting is the number of jobs that no worker has begun.
func (w *workers) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// close lets the workers finish what is queued and waits for them.
func (w *workers) close() {
	w.mu.Lock()
	w.stop = true
	w.ready.Broadcast()
	w.mu.Unlock()
	w.done.Wait()
}

// block runs f on a worker of pool w with the session's reading paused, and
// goes on reading when f is done. Only the goroutine that handles the session's
// input on its loop may call it.
func (s *Session) block(w *workers, f func(*Turn)) {
	s.set(flagBusy)
	s.conn.Pause()
	ok := w.submit(func(t *Turn) {
		f(t)
		t.end()
		s.conn.Post(s.unblock)
	})
	if !ok {
		// The server is stopping; the session goes with it.
		s.unset(flagBusy)
	}
}

// unblock gives the session back to its loop after a worker had it.
func (s *Session) unblock(loop int) {
	t := s.mgr.turns[loop]
	s.unset(flagBusy)
	if s.has(flagLogin) && s.has(flagBound) {
		s.unset(flagLogin) // here, where it needs not wake the loop
		s.conn.SetDeadline(0)
	}
	if s.has(flagLater) {
		s.unset(flagLater)
		later, _ := s.mgr.later.LoadAndDelete(s)
		for _, f := range later {
			s.whenFree(t, f)
		}
	}
	if !s.has(flagBusy) && !s.backlog(t) {
		s.conn.Resume()
	}
}

// maxBacklog is how many bytes may wait for a client before its own input has
// to wait too: who asks for much and does not read fills no outbox, and is not
// taken for a client that does not read.
const maxBacklog = 64 << 10

// backlog pauses reading when too much waits for the client to read it; reading
// goes on when the socket has taken all of it. Only the session's loop may call
// it.
func (s *Session) backlog(t *Turn) bool {
	if s.conn.Queued() <= maxBacklog {
		return false
	}
	t.Flush()
	if s.conn.Queued() <= maxBacklog {
		return false
	}
	s.set(flagBacklog)
	s.conn.Pause()
	return true
}

// onLoop runs f on the session's loop when no worker has the session. It may be
// called from any goroutine.
func (s *Session) onLoop(f func(*Turn)) {
	s.conn.Post(func(loop int) {
		s.whenFree(s.mgr.turns[loop], f)
	})
}

// whenFree runs f now, or when the worker that has the session is done. Only
// the session's loop may call it.
func (s *Session) whenFree(t *Turn, f func(*Turn)) {
	if !s.has(flagBusy) {
		f(t)
		return
	}
	s.set(flagLater)
	fs, _ := s.mgr.later.Load(s)
	s.mgr.later.Store(s, append(fs, f))
}
