package session

import "sync"

// Work is what is left to do for a job, by what it has to wait for.
type Work uint8

// The kinds of work. Jobs that write have workers of their own, because a commit
// may take as long as the disk or another process wants: those that only read, a
// login above all, never wait for one.
const (
	Done   Work = iota // nothing is left
	Read               // it may wait for the store to read, on a worker for that
	Write              // it may wait for the store to write, on a worker for that
	Derive             // it derives keys, which takes milliseconds of CPU, on a worker for that; it may read, too
)

// defaultWriters is enough goroutines for two transactions of the largest size: one
// that is written, and one that gathers meanwhile.
const defaultWriters = 1024

// keepWriters is how many of these goroutines stay when there is nothing to write.
const keepWriters = 4

// workers is a limited number of goroutines for what may block: the store and
// key derivation. The queue needs no limit of its own: a session has at most one
// job in it, because its reading is paused until the job is done, and the documents
// of stanzas are limited by Config.WriteMemory.
type workers struct {
	m     *Manager
	kind  Work // of all jobs
	keep  int  // goroutines that stay when there is nothing to do; the others start when they are needed
	limit int  // goroutines at most

	mu    sync.Mutex
	ready sync.Cond
	queue []func(*Turn) // a ring
	head  int
	count int
	all   int // goroutines
	idle  int // those that wait for a job
	stop  bool
	done  sync.WaitGroup
}

func newWorkers(m *Manager, kind Work, keep, limit int) *workers {
	w := &workers{m: m, kind: kind, keep: keep, limit: limit, queue: make([]func(*Turn), 64)}
	w.ready.L = &w.mu
	w.mu.Lock()
	defer w.mu.Unlock()
	for range keep {
		w.start()
	}
	return w
}

// start starts one more goroutine. Under mu.
func (w *workers) start() {
	w.all++
	w.done.Add(1)
	go w.run()
}

func (w *workers) run() {
	defer w.done.Done()
	t := &Turn{m: w.m, loop: -1, kind: w.kind}
	for f := w.next(); f != nil; f = w.next() {
		w.do(t, f)
	}
}

func (w *workers) do(t *Turn, f func(*Turn)) {
	defer w.m.recovered()
	defer t.end() // others are waiting for what was queued
	f(t)
}

// next waits for a job; nil ends the goroutine, because the pool is closed or
// others are enough for what comes.
func (w *workers) next() func(*Turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.count == 0 {
		if w.stop || w.idle >= w.keep {
			w.all--
			return nil
		}
		w.idle++
		w.ready.Wait()
		w.idle--
	}
	return w.pop()
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
	if w.count > w.idle && w.all < w.limit {
		w.start()
	}
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

// enqueue has f run on a worker for this kind of work, for s, which may be nil unless
// f derives keys. It reports false after the workers were closed. For a session, only
// the goroutine that handles its input may call it.
func (m *Manager) enqueue(s *Session, need Work, f func(*Turn)) bool {
	switch need {
	case Read:
		return m.reads.submit(f)
	case Write:
		return m.writes.submit(f)
	case Derive:
		return m.keyQueue.submit(s.network(), f)
	}
	panic("session: BUG: there are no workers for this kind of work")
}

// offload runs f on a worker for this kind of work with the session's reading paused,
// and resumes it when f is done. Only the goroutine that handles the session's
// input on its loop may call it.
func (s *Session) offload(need Work, f func(*Turn)) {
	s.offloadSteps(need, func(t *Turn) Work {
		f(t)
		return Done
	})
}

// offloadSteps is offload for a job of several steps: f returns the kind of work as which it
// is to be called again, Done at its end.
func (s *Session) offloadSteps(need Work, f func(*Turn) Work) {
	s.set(flagBusy)
	s.conn.Pause()
	if !s.submit(need, f) {
		// The server is stopping; the session goes with it.
		s.unset(flagBusy)
	}
}

func (s *Session) submit(need Work, f func(*Turn) Work) bool {
	return s.mgr.enqueue(s, need, func(t *Turn) {
		next := s.step(t, f)
		cost := t.uncharged()
		t.end()
		if next == Done || !s.submit(next, f) {
			s.conn.Post(func(loop int) {
				s.chargeCost(s.mgr.turns[loop], cost-freeCost)
				s.returnToLoop(loop)
			})
		}
	})
}

// abandoned reports whether nobody waits any more for what a worker does for the
// session: the session has ended, or ends as soon as the worker is done.
func (s *Session) abandoned() bool {
	return s.has(flagClosing|flagGone|flagLeft|flagSlow) || s.mgr.stopping.Load()
}
