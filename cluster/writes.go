package cluster

import (
	"context"
	"sync"

	"github.com/redis/rueidis"

	"roost/router"
)

// opKind is what an operation on the directory does.
type opKind uint8

const (
	opRegister opKind = iota
	opUpdate
	opUnregister
	opUnindex // removes an entry of the index
)

// op is an operation on the directory.
type op struct {
	kind              opKind
	available         bool
	priority          int8
	account, resource string
	level             int

	registration router.Registration
	ignored      map[uint64]bool
	done         chan struct{} // closed when reply or err are set
	reply        []string
	err          error
}

func (o *op) size() int { return 128 + len(o.account) + len(o.resource) }

// finish ends a registration.
func (o *op) finish(err error) {
	if o.done != nil {
		o.err = err
		close(o.done)
	}
}

// writes is the queue of operations on the directory.
type writes struct {
	limit int // bytes

	mu      sync.Mutex
	queue   []*op
	bytes   int
	closed  bool
	waiting int           // operations that were taken and are not finished
	added   chan struct{} // a token if there is something in the queue
	empty   chan struct{} // a token if there is nothing any more
}

func (w *writes) init(limit int) {
	w.limit = limit
	w.added, w.empty = make(chan struct{}, 1), make(chan struct{}, 1)
}

// add queues an operation, and reports whether there was space.
func (w *writes) add(o *op) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.bytes+o.size() > w.limit {
		return false
	}
	w.queue = append(w.queue, o)
	w.bytes += o.size()
	token(w.added)
	return true
}

// token puts a token into a channel for one, unless there is one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writeBatch is how many operations one pipeline has at most. One of more than 2,000 commands
// would get a connection of its own, and lose its place in the order.
const writeBatch = 256

// take removes the next operations. They count until finished is called.
func (w *writes) take() []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := min(len(w.queue), writeBatch)
	batch := w.queue[:k:k]
	if w.queue = w.queue[k:]; len(w.queue) == 0 {
		w.queue = nil
	} else {
		token(w.added)
	}
	w.waiting = k
	return batch
}

func (w *writes) finished(batch []*op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range batch {
		w.bytes -= o.size()
	}
	if w.waiting = 0; len(w.queue) == 0 {
		token(w.empty)
	}
}

// drain waits until the queue is empty, or ctx ends.
func (w *writes) drain(ctx context.Context) {
	for {
		w.mu.Lock()
		n := len(w.queue) + w.waiting
		w.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-w.empty:
		case <-ctx.Done():
			return
		}
	}
}

// close refuses operations from now on, and ends the registrations that wait.
func (w *writes) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, o := range w.queue {
		o.finish(router.ErrNoDirectory)
	}
	w.queue, w.bytes = nil, 0
}

// write sends the operations to the engine: all that have accumulated in one pipeline.
func (n *Node) write() {
	for {
		select {
		case <-n.writes.added:
		case <-n.ctx.Done():
			return
		}
		batch := n.writes.take()
		rest := batch
		for len(rest) > 0 {
			changed := n.whenChanged()
			if n.usable() {
				if rest = n.writeBatch(rest); len(rest) == 0 {
					break
				}
				if n.usable() {
					continue // the scripts were loaded
				}
			}
			rest = withoutRegistrations(rest)
			select {
			case <-changed:
			case <-n.ctx.Done():
				rest = nil
			}
		}
		n.writes.finished(batch)
	}
}

// withoutRegistrations ends registrations, because no login waits for the engine.
func withoutRegistrations(batch []*op) (rest []*op) {
	for _, o := range batch {
		if o.kind == opRegister {
			o.finish(router.ErrNoDirectory)
		} else {
			rest = append(rest, o)
		}
	}
	return rest
}

// writeBatch executes operations, and returns those that have to be executed again. All of
// them may be executed twice: they compare the epoch, and set values.
func (n *Node) writeBatch(batch []*op) (rest []*op) {
	ctx, cancel := context.WithTimeout(n.ctx, n.engine.timeout)
	defer cancel()
	epoch := n.epoch.Load()
	cmds := make([]rueidis.Completed, 0, 2*len(batch))
	for _, o := range batch {
		cmds = o.commands(cmds, n.engine.client, epoch)
	}
	replies := n.engine.client.DoMulti(ctx, cmds...)
	n.stats.writeBatches.Add(1)
	again := false // from the first that was not executed, all are repeated
	for _, o := range batch {
		k := 1
		if o.kind == opRegister {
			k = 2
		}
		next, err := n.result(o, replies[:k])
		replies = replies[k:]
		if next != nil && !n.writes.add(next) {
			n.stats.errors.Add(1)
		}
		switch {
		case noScript(err):
			again = true
			rest = append(rest, o)
		case n.engine.failed(err):
			n.stats.errors.Add(1)
			if !refused(err) {
				if o.kind == opRegister {
					o.finish(router.ErrNoDirectory)
				} else {
					rest = append(rest, o)
				}
				continue
			}
			n.missing()
			o.finish(err)
		case again && o.kind != opRegister:
			rest = append(rest, o)
		default:
			o.finish(nil)
		}
	}
	if again && n.engine.failed(n.engine.load(ctx)) {
		return withoutRegistrations(rest)
	}
	return rest
}
