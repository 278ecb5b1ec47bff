//go:build linux

package poller

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/bytebufferpool"

	"roost/internal/histogram"
	"roost/poller/epoll"
)

// loop is one event loop: a netpoll poll and the goroutine that waits on it.
type loop struct {
	p      *Poller
	index  int
	poll   *epoll.Poll
	waiter *idleWaiter

	// loop
	buf        []byte                               // read buffer
	plain      []byte                               // buffer for data that crypto/tls decrypts; nil until needed
	conns      []*Conn                              // all connections, at Conn.slot
	unread     map[*Conn]*bytebufferpool.ByteBuffer // input that paused handlers have not consumed
	timed      []*Conn                              // connections with a deadline, see due
	now        uint32                               // seconds since start
	lastActive uint32                               // the last second in which a connection was added, was removed, or sent more than a keep-alive
	start      time.Time
	maxUnread  int  // the largest number of entries in unread so far
	sweepPos   int  // conns[:sweepPos] are still to be checked in this sweep
	sweepBatch int  // how many are checked in each second
	ending     bool // Close was called

	listeners []*Listener // loop: those that are open

	vacant atomic.Pointer[Conn] // changed by the loop; see Conn.Vacant

	keys keyCache // has its own lock

	began  time.Duration        // loop: when the batch of events began, since the poller's start
	batch  *histogram.Histogram // durations of batches
	counts loopCounters

	mu    sync.Mutex
	tasks []task
	spare []task
	awake bool // the loop has been woken for tasks, or will look at them before it sleeps
	ended bool // the poll is closed: no more tasks run
	done  chan struct{}
}

// task is a function to run on the loop.
type task struct {
	c *Conn
	f func(loop int)
}

func newLoop(p *Poller, index int) (*loop, error) {
	l := &loop{p: p, index: index, buf: make([]byte, p.config().ReadBuffer), start: time.Now(), now: 1, done: make(chan struct{}),
		unread: make(map[*Conn]*bytebufferpool.ByteBuffer), batch: histogram.New(batchBounds...)}
	var err error
	if l.poll, err = epoll.Open(l.begin, l.end); err != nil {
		return nil, err
	}
	l.vacant.Store(newVacant(l))
	if l.waiter, err = newIdleWaiter(l.poll.FD(), max(0, p.config().KeepaliveBatch)); err != nil {
		_ = l.poll.Close()
		return nil, err
	}
	go func() {
		defer close(l.done)
		defer l.waiter.close()
		if err := l.poll.Wait(); err != nil {
			p.config().Logger.Error("event loop ended", "loop", index, "err", err)
		}
	}()
	return l, nil
}

// post runs f on the loop, in the order of the calls.
func (l *loop) post(c *Conn, f func(loop int)) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.tasks = append(l.tasks, task{c, f})
	wake := !l.awake
	l.awake = true
	l.mu.Unlock()
	if wake {
		_ = l.poll.Wake()
	}
}

// begin is called before a batch of events: callers of post need not wake the loop from
// here on.
func (l *loop) begin() {
	l.began = time.Since(l.p.start)
	l.mu.Lock()
	l.awake = true
	l.mu.Unlock()
}

// end is called after a batch of events and waits for the next one. closed reports that
// there will be none.
func (l *loop) end(closed bool) {
	l.runTasks()
	l.batch.Observe(int64(time.Since(l.p.start) - l.began))
	if !closed {
		l.waiter.wait(l.now, l.now > l.lastActive+1)
	}
}

// maxRounds is how often one call of runTasks looks for tasks that its tasks have
// posted; then the sockets get their turn.
const maxRounds = 4

// runTasks runs the posted tasks, and Config.AfterBatch after each round of them.
func (l *loop) runTasks() {
	for round := 1; ; round++ {
		tasks, more := l.takeTasks(round > maxRounds)
		for i := range tasks {
			tasks[i].f(l.index)
			tasks[i] = task{}
		}
		l.reuse(tasks)
		l.p.config().AfterBatch(l.index)
		if !more {
			return
		}
	}
}

// takeTasks removes and returns the posted tasks. If there are none, or enough rounds
// were run, more is false, and the loop has to be woken for further tasks.
func (l *loop) takeTasks(enough bool) (tasks []task, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.tasks) == 0:
		l.awake = false
		return nil, false
	case enough:
		_ = l.poll.Wake() // awake stays set: the next batch is on its way
		return nil, false
	}
	tasks = l.tasks
	l.tasks, l.spare = l.spare[:0], nil
	return tasks, true
}

// reuse keeps a task list's memory for the next round, unless it has grown unusually
// large.
func (l *loop) reuse(tasks []task) {
	if tasks != nil && cap(tasks) <= 4096 {
		l.mu.Lock()
		l.spare = tasks
		l.mu.Unlock()
	}
}

// stash appends input that a connection's handler has not consumed to what was stashed
// before.
func (l *loop) stash(c *Conn, p []byte) {
	unread := l.unread[c]
	if unread == nil {
		unread = c.buffer()
		l.keepUnread(c, unread)
	}
	_, _ = unread.Write(p)
	if c.unauth() {
		c.hold(heldInput, cap(unread.B))
	}
}

// keepUnread stashes a buffer for a connection that has none.
func (l *loop) keepUnread(c *Conn, unread *bytebufferpool.ByteBuffer) {
	l.unread[c] = unread
	l.maxUnread = max(l.maxUnread, len(l.unread))
}

// unstash removes and returns the stashed input, nil if there is none.
func (l *loop) unstash(c *Conn) *bytebufferpool.ByteBuffer {
	unread := l.takeUnread(c)
	if unread != nil && c.unauth() {
		c.hold(heldInput, 0)
	}
	return unread
}

// takeUnread is unstash for input that still counts as the peer's.
func (l *loop) takeUnread(c *Conn) *bytebufferpool.ByteBuffer {
	unread := l.unread[c]
	if unread == nil {
		return nil
	}
	delete(l.unread, c)
	if len(l.unread) == 0 && l.maxUnread > 1024 { // a map does not shrink
		l.unread, l.maxUnread = make(map[*Conn]*bytebufferpool.ByteBuffer), 0
	}
	return unread
}

// add adds a connection to the loop's list; the caller registers it next.
func (l *loop) add(c *Conn) {
	c.slot = int32(len(l.conns))
	l.conns = append(l.conns, c)
	l.lastActive = l.now
}

// remove removes a connection from the loop's list.
func (l *loop) remove(c *Conn) {
	last := l.conns[len(l.conns)-1]
	l.conns[c.slot] = last
	last.slot = c.slot
	l.conns[len(l.conns)-1] = nil
	l.conns = l.conns[:len(l.conns)-1]
	l.conns = shrink(l.conns)
	l.lastActive = l.now
}

// shrink returns the list in less memory if many of its connections have ended.
func shrink(list []*Conn) []*Conn {
	if cap(list) <= 1024 || len(list) >= cap(list)/4 {
		return list
	}
	return append(make([]*Conn, 0, cap(list)/2), list...)
}

// sweepPeriod returns how long one check of all connections for idleness takes. A part of
// them is checked each second, so that a million connections cause no pause and, with a
// long timeout, hardly any cost. A silent connection is closed at most one period late.
func sweepPeriod(timeout time.Duration) time.Duration {
	return min(max(timeout/16, 16*time.Second), time.Hour).Truncate(time.Second)
}

// tick is called once a second.
func (l *loop) tick(int) {
	l.now = uint32(time.Since(l.start)/time.Second) + 1
	kept := l.timed[:0]
	for _, c := range l.timed {
		if c.due(l.now) {
			kept = append(kept, c)
		}
	}
	clear(l.timed[len(kept):])
	l.timed = shrink(kept)
	l.keys.tick()
	for _, ln := range l.listeners {
		ln.tick()
	}
	if timeout := l.p.config().IdleTimeout; timeout > 0 { // read once: it may change
		l.sweep(timeout)
	}
}

// sweep checks this second's part of the connections for those that have been silent for
// the timeout. It proceeds from the end of the list to its front, because remove moves
// the last connection, already checked, into the freed slot.
func (l *loop) sweep(timeout time.Duration) {
	seconds := int(sweepPeriod(timeout) / time.Second)
	// The batch does not shrink during a sweep, so that a sweep does not take longer when
	// many connections end.
	l.sweepBatch = max(l.sweepBatch, len(l.conns)/seconds+1)
	l.sweepPos = min(l.sweepPos, len(l.conns))
	for n := l.sweepBatch; n > 0 && l.sweepPos > 0; n-- {
		l.sweepPos--
		c := l.conns[l.sweepPos]
		if time.Duration(l.now-c.lastRead.Load())*time.Second > timeout && !c.closing() {
			c.expire(ErrIdle)
		}
	}
	if l.sweepPos == 0 {
		l.sweepPos, l.sweepBatch = len(l.conns), 0
	}
}

// close closes all connections at once and ends the loop.
func (l *loop) close() error {
	l.post(nil, func(int) {
		l.ending = true
		for len(l.conns) > 0 {
			l.conns[len(l.conns)-1].destroy(ErrClosed)
		}
	})
	// Handlers may post tasks in Closed: these run before the loop ends.
	last := make(chan struct{})
	l.post(nil, func(int) { l.post(nil, func(int) { close(last) }) })
	<-last
	l.mu.Lock()
	// From here on the number of the poll's event descriptor may be reused by another
	// file.
	l.ended = true
	l.mu.Unlock()
	err := l.poll.Close()
	<-l.done
	return err
}
