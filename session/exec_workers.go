package session

import "sync"

// Work is the kind of work that remains for a job, by what it waits for.
type Work uint8

// The kinds of work. Jobs that write have their own workers, because a commit may take as
// long as the disk or another process makes it: jobs that only read, such as logins, never
// wait for one.
const (
	Done   Work = iota // nothing remains
	Read               // may wait for reads of the store
	Write              // may wait for writes of the store
	Derive             // derives keys, which takes milliseconds of CPU; may also read
)

// String returns the kind as one word.
func (w Work) String() string { return [...]string{"done", "read", "write", "derive"}[w] }

// defaultWriters is enough goroutines for two transactions of maximum size: one being
// written, and one being collected.
const defaultWriters = 1024

// keepWriters is the number of these goroutines that stay when there is nothing to write.
const keepWriters = 4

// workers is a pool of goroutines for jobs that may block on the store or derive keys. Its
// queue needs no limit: a session has at most one job in it, because its reading is paused
// until the job is done, and the memory of stanzas in it is limited by Config.WriteMemory.
type workers struct {
	m     *Manager
	kind  Work // of all jobs
	keep  int  // goroutines that stay when idle; others are started on demand
	limit int  // maximum number of goroutines

	counts counts // see Counter

	mu       sync.Mutex
	ready    sync.Cond
	queue    []func(*Turn) // a ring buffer
	head     int
	count    int
	expected int // jobs that wait at a Gate
	all      int // goroutines
	idle     int // goroutines waiting for a job
	stop     bool
	done     sync.WaitGroup
}

func newWorkers(m *Manager, kind Work, keep, limit int) *workers {
	w := &workers{m: m, kind: kind, keep: keep, limit: limit, counts: newCounts(), queue: make([]func(*Turn), 64)}
	w.ready.L = &w.mu
	w.mu.Lock()
	defer w.mu.Unlock()
	for range keep {
		w.start()
	}
	return w
}

// start starts one more goroutine. The caller holds mu.
func (w *workers) start() {
	w.all++
	w.done.Add(1)
	go w.run()
}

func (w *workers) run() {
	defer w.done.Done()
	t := w.newTurn()
	for f := w.next(); f != nil; f = w.next() {
		w.do(t, f)
	}
}

func (w *workers) newTurn() *Turn { return &Turn{m: w.m, loop: -1, kind: w.kind, counts: w.counts} }

func (w *workers) do(t *Turn, f func(*Turn)) {
	defer w.m.recovered()
	defer t.end() // flush the output that the job queued
	f(t)
}

// next waits for a job. It returns nil to end the goroutine, because the pool is closed or
// enough others are idle.
func (w *workers) next() func(*Turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.count == 0 {
		if w.stop && w.expected == 0 || w.idle >= w.keep {
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
		// Release the memory of a queue that was exceptionally long.
		w.queue, w.head = make([]func(*Turn), 64), 0
	}
	return f
}

// submit queues f for a worker. It returns false after close.
func (w *workers) submit(f func(*Turn)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop {
		return false
	}
	w.push(f)
	return true
}

// expect announces a job for submitExpected. Only a job of the pool may call it.
func (w *workers) expect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected++
}

// submitExpected is submit for a job that was announced: close waits for it.
func (w *workers) submitExpected(f func(*Turn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected--
	w.push(f)
	if w.stop {
		w.ready.Broadcast() // it may be the last one
	}
}

// push adds f to the queue. The caller holds mu.
func (w *workers) push(f func(*Turn)) {
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
}

// waiting returns the number of jobs that no worker has started, or that wait at a Gate.
func (w *workers) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count + w.expected
}

// busy returns the number of jobs that wait or run.
func (w *workers) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count + w.expected + w.all - w.idle
}

// stats describes the pool.
func (w *workers) stats() WorkerPool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return WorkerPool{Work: w.kind.String(), Busy: w.all - w.idle, Limit: w.limit, Waiting: w.count + w.expected}
}

// close waits until the workers have finished all queued jobs and ended.
func (w *workers) close() {
	w.mu.Lock()
	w.stop = true
	w.ready.Broadcast()
	w.mu.Unlock()
	w.done.Wait()
}

// enqueue queues f for a worker for this kind of work. s is the session that f works for;
// it may be nil unless f derives keys. enqueue returns false after the workers were closed.
// If s is not nil, only the goroutine that handles its input may call it.
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

// offload runs f on a worker for this kind of work while the session's reading is paused,
// and resumes reading after it. Only the goroutine that handles the session's input on its
// loop may call it.
func (s *Session) offload(need Work, f func(*Turn)) {
	s.offloadSteps(need, func(t *Turn) Work {
		f(t)
		return Done
	})
}

// offloadSteps is offload for a job of several steps: f returns the kind of work that its
// next step needs, or Done.
func (s *Session) offloadSteps(need Work, f func(*Turn) Work) {
	s.set(flagBusy)
	s.Conn().Pause()
	if !s.submit(need, f) {
		// The server is stopping and will end the session.
		s.unset(flagBusy)
	}
}

func (s *Session) submit(need Work, f func(*Turn) Work) bool {
	return s.mgr.enqueue(s, need, func(t *Turn) { s.runStep(t, f) })
}

// runStep runs one step of a job on a worker, and has the next one run, if there is one.
func (s *Session) runStep(t *Turn, f func(*Turn) Work) {
	next := s.step(t, f)
	gate := t.leaveGate()
	cost := t.uncharged()
	t.end()
	switch {
	case next == Write && gate != nil:
		gate.queue(s.mgr.writes, func(t *Turn) { s.runStep(t, f) })
	case next == Done || !s.submit(next, f):
		s.Conn().Post(func(loop int) {
			s.chargeCost(s.mgr.turns[loop], cost-freeCost)
			s.returnToLoop(loop)
		})
	}
}

// abandoned reports whether a worker's job for the session has become pointless: the
// session has ended, or ends as soon as the worker is done.
func (s *Session) abandoned() bool {
	return s.has(flagClosing|flagGone|flagLeft|flagSlow) || s.mgr.endsAll() || s.mgr.stopping.Load() && !s.has(flagManaged)
}
