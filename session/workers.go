package session

import (
	"sync"

	"roost/parser"
	"roost/stanza"
)

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

// parkedCost is what a stanza that waits for a worker takes besides its
// document, in bytes.
const parkedCost = 512

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

// block runs f on a worker for this kind of work with the session's reading paused,
// and goes on reading when f is done. Only the goroutine that handles the session's
// input on its loop may call it.
func (s *Session) block(need Work, f func(*Turn)) {
	s.offload(need, func(t *Turn) Work {
		f(t)
		return Done
	})
}

// offload is block for a job of several steps: f returns the kind of work as which it
// is to be called again, Done at its end.
func (s *Session) offload(need Work, f func(*Turn) Work) {
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
				s.unblock(loop)
			})
		}
	})
}

// abandoned reports whether nobody waits any more for what a worker does for the
// session: the session has ended, or ends as soon as the worker is done.
func (s *Session) abandoned() bool {
	return s.has(flagClosing|flagGone|flagLeft|flagSlow) || s.mgr.stopping.Load()
}

// parked is a stanza that waits for a worker.
type parked struct {
	s       *Session
	doc     *parser.Tape
	stage   int // see Router.Stanza
	held    int // bytes of Manager.parked, 0 unless it waits, or has waited, for a commit or for keys
	carried any // see Turn.Carry
}

// park has the router called again with st, the stanza of the document d, on a
// worker and from the given stage on.
func (s *Session) park(t *Turn, st *stanza.Stanza, d *parser.Tape, stage int, need Work) {
	p := &parked{s: s, doc: d, stage: stage}
	if p.admit(t, st, need) == Done {
		p.release()
		return
	}
	s.offload(need, p.run)
}

func (p *parked) run(t *Turn) (need Work) {
	defer func() {
		if need == Done {
			p.release()
		}
	}()
	if t.MayDerive() && p.s.abandoned() {
		return Done // those that wait behind it need the CPU
	}
	var st stanza.Stanza
	_ = stanza.Read(p.doc, &st) // it was read before
	t.carried, p.carried = p.carried, nil
	p.stage, need = p.s.ask(t, &st, p.stage)
	p.carried, t.carried = t.carried, nil
	return p.admit(t, &st, need)
}

// admit returns the work that the stanza has to wait for. Where what waits for commits
// and for keys would take too much memory, the stanza is refused, and done.
func (p *parked) admit(t *Turn, st *stanza.Stanza, need Work) Work {
	m := p.s.mgr
	if p.held == 0 && (need == Write || need == Derive) {
		p.held = p.doc.Held() + parkedCost
		if m.parked.Add(int64(p.held)) > int64(m.cfg.WriteMemory) {
			p.s.reply(t, st, stanza.ResourceConstraint.WithText("The server is busy; try later."))
			return Done
		}
	}
	return need
}

func (p *parked) release() {
	p.s.mgr.parked.Add(int64(-p.held))
	p.doc.Release()
	if !p.s.has(flagAuthed) {
		p.s.heldNow()
	}
}

// unblock gives the session back to its loop after a worker had it.
func (s *Session) unblock(loop int) {
	t := s.mgr.turns[loop]
	defer s.guard(t)
	s.unset(flagBusy)
	if s.has(flagLogin) && s.has(flagBound) {
		s.unset(flagLogin) // here, where it needs not wake the loop
		s.conn.SetDeadline(0)
		s.take(t, 0) // earlier sessions of the account may have caused too much
	}
	s.goOn(t)
}

// goOn does what has waited for the session, and goes on reading.
func (s *Session) goOn(t *Turn) {
	s.runLater(t)
	s.resume(t)
}

// resume goes on reading, unless there is a reason left to wait.
func (s *Session) resume(t *Turn) {
	if !s.has(flagBusy|flagThrottled|flagBacklog) && !s.startDelay(t) && !s.backlog(t) {
		s.conn.Resume()
	}
}

// runLater does what has waited for the session. Only the session's loop may call
// it.
func (s *Session) runLater(t *Turn) {
	if s.has(flagBusy) || !s.has(flagLater) {
		return
	}
	s.unset(flagLater)
	later, _ := s.mgr.later.LoadAndDelete(s)
	for _, f := range later {
		s.whenFree(t, f)
	}
}

// maxBacklog is how many bytes may wait for a client before its own input has
// to wait too: who asks for much and does not read fills no outbox, and is not
// taken for a client that does not read.
const maxBacklog = 64 << 10

// backlog pauses reading when too much waits for the client to read it; reading
// goes on when the socket has taken all of it. What other goroutines have queued and
// not yet offered to the socket does not count: Drained may not be called for it.
// Only the session's loop may call it.
func (s *Session) backlog(t *Turn) bool {
	if s.conn.Queued() <= maxBacklog {
		return false
	}
	t.Flush()
	if !s.conn.Flush() || s.conn.Queued() <= maxBacklog {
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

// endOnLoop is onLoop for what ends the session: a delayed response to a login
// is not waited for.
func (s *Session) endOnLoop(f func(*Turn)) {
	s.conn.Post(func(loop int) {
		s.dropDelay(loop)
		s.whenFree(s.mgr.turns[loop], f)
	})
}

// whenFree runs f now, or when the worker that has the session is done. Only
// the session's loop may call it.
func (s *Session) whenFree(t *Turn, f func(*Turn)) {
	if !s.has(flagBusy) {
		s.run(t, f)
		return
	}
	s.set(flagLater)
	fs, _ := s.mgr.later.Load(s)
	s.mgr.later.Store(s, append(fs, f))
}
