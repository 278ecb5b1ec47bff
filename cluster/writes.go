package cluster

import (
	"context"
	"slices"
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
	opForget  // the same, if its level is not known: that of any level up to one
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

// replies is how many commands the operation consists of.
func (o *op) replies() int {
	switch o.kind {
	case opRegister:
		return 2
	case opForget:
		return o.level + 1
	default:
		return 1
	}
}

// writes is the queue of operations on the directory.
type writes struct {
	limit int // bytes

	mu      sync.Mutex
	queue   []*op
	bytes   int
	closed  bool
	waiting int              // operations that were taken and are not finished
	entered map[string][]int // the levels of registrations that are not finished, by field of the index
	added   chan struct{}    // a token if there is something in the queue
	empty   chan struct{}    // holds a token if nothing is left
}

func (w *writes) init(limit int) {
	w.limit = limit
	w.entered = make(map[string][]int)
	w.added, w.empty = make(chan struct{}, 1), make(chan struct{}, 1)
}

// add queues an operation, and reports whether there was space.
func (w *writes) add(o *op) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.append(o)
}

// addRemoval is add for an operation that removes entries of the index. It does nothing if a
// registration that was queued before needs the entry: it would be executed first, and its
// resource would stay in the directory after this node's death.
func (w *writes) addRemoval(o *op) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	levels := w.entered[o.field()]
	if slices.Contains(levels, o.level) || o.kind == opForget && len(levels) > 0 {
		return true
	}
	return w.append(o)
}

// append is add for a caller that holds mu.
func (w *writes) append(o *op) bool {
	if w.closed || w.bytes+o.size() > w.limit {
		return false
	}
	if o.kind == opRegister {
		w.entered[o.field()] = append(w.entered[o.field()], o.level)
	}
	w.queue = append(w.queue, o)
	w.bytes += o.size()
	token(w.added)
	return true
}

// finish ends an operation: Register waits for a registration.
func (w *writes) finish(o *op, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(o, err)
}

// end is finish for a caller that holds mu.
func (w *writes) end(o *op, err error) {
	if o.kind != opRegister {
		return
	}
	field := o.field()
	levels := w.entered[field]
	if i := slices.Index(levels, o.level); len(levels) > 1 {
		w.entered[field] = slices.Delete(levels, i, i+1)
	} else {
		delete(w.entered, field)
	}
	o.err = err
	close(o.done)
}

// token puts a token into a channel for one, unless there is one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// How many operations one pipeline has at most, and how many commands before the last operation.
// One of more than 2,000 commands would get a connection of its own, and lose its place in the
// order.
const (
	writeBatch    = 256
	writeCommands = 1000
)

// take removes the next operations. They count until finished is called.
func (w *writes) take() []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := 0
	for commands := 0; k < min(len(w.queue), writeBatch) && commands < writeCommands; k++ {
		commands += w.queue[k].replies()
	}
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
	} else {
		token(w.added) // the token may have been taken while these waited
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
		w.end(o, router.ErrNoDirectory)
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
		for len(rest) > 0 && n.ctx.Err() == nil {
			changed := n.whenChanged()
			if n.usable() {
				rest = n.writeBatch(rest)
				continue
			}
			if rest = n.writes.giveUpRegistrations(rest); len(rest) == 0 {
				break
			}
			select {
			case <-changed:
			case <-n.writes.added: // perhaps a registration that was begun before
			case <-n.ctx.Done():
			}
		}
		n.writes.withoutRegistrations(rest)
		n.writes.finished(batch)
	}
}

// giveUpRegistrations ends the registrations of a batch and those in the queue, because no login
// waits for the engine.
func (w *writes) giveUpRegistrations(batch []*op) (rest []*op) {
	rest = w.withoutRegistrations(batch)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entered) == 0 {
		return rest // so that changes that wait are not all looked at for each that is added
	}
	queue := w.queue
	w.queue = nil
	for _, o := range queue {
		if o.kind != opRegister {
			w.queue = append(w.queue, o)
			continue
		}
		w.bytes -= o.size()
		w.end(o, router.ErrNoDirectory)
	}
	return rest
}

// withoutRegistrations ends the registrations of a batch.
func (w *writes) withoutRegistrations(batch []*op) (rest []*op) {
	for _, o := range batch {
		if o.kind == opRegister {
			w.finish(o, router.ErrNoDirectory)
		} else {
			rest = append(rest, o)
		}
	}
	return rest
}

// writeBatch executes operations, and returns those that have to be executed again. Those that were
// executed are among them if they follow one of the same resource that was not: they may be executed
// twice, since they compare the epoch, and set values.
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
	again := false // a server did not have the scripts
	for _, o := range batch {
		k := o.replies()
		next, err := n.result(o, replies[:k])
		replies = replies[k:]
		if next != nil && !n.writes.addRemoval(next) {
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
					n.writes.finish(o, router.ErrNoDirectory)
				} else {
					rest = append(rest, o)
				}
				continue
			}
			n.missing()
			n.writes.finish(o, err)
		case o.kind == opRegister:
			if o.reply[0] == "ok" {
				rest = o.overtakes(rest)
			}
			n.writes.finish(o, nil)
		case slices.ContainsFunc(rest, o.sameResource):
			rest = append(rest, o)
		}
	}
	if again && n.engine.failed(n.engine.load(ctx)) {
		return n.writes.withoutRegistrations(rest)
	}
	return rest
}

// overtakes removes changes of the resource that o, a registration, has entered: they came before it,
// and would now change or remove its entry.
func (o *op) overtakes(before []*op) (rest []*op) {
	return slices.DeleteFunc(before, func(b *op) bool { return b.kind != opRegister && o.sameResource(b) })
}

// sameResource reports whether another operation is about the same resource.
func (o *op) sameResource(other *op) bool {
	return o.account == other.account && o.resource == other.resource
}
