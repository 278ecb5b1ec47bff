package cluster

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"roost/router"
)

// outboxes are the queues for the other nodes.
type outboxes struct {
	bytes    atomic.Int64 // of all
	repeated atomic.Int64 // when presence was last to be repeated, in ns since Node.start; 0: never

	mu     sync.Mutex
	byNode map[uint64]*outbox
	number uint64 // the highest of a batch of an outbox that has ended
	closed bool
	tasks  sync.WaitGroup
}

// outbox is the queue for one node. While a batch is on its way to the engine, the items that
// follow accumulate to the next one: so batches grow with the load.
//
// A batch is kept until the node has handled it, because the engine may lose it: a replica
// that takes over, or a server that is started again, may lack the last entries. It is then
// sent again; the node skips what it has had. The limit of the queue thereby limits the
// stream in the engine, too.
type outbox struct {
	to    uint64
	added chan struct{} // a token if there are new items

	mu         sync.Mutex
	items      []byte        // not in a batch yet
	spare      [][]byte      // memory of batches that were handled, for the next items
	spareBytes int           // of spare
	count      int           // of these
	since      time.Duration // when the first of these was added
	bytes      int           // of items and batches
	unsent     bool          // a batch is not in the stream yet
	ended      bool          // the goroutine has ended; a new outbox is needed
	missed     time.Duration // when an item last did not get to the node, although that lives; 0: see repair

	// Owned by the goroutine of the outbox.
	// A dead node whose stream is not closed yet gets batches, too: whoever closes it returns
	// them.
	batches []*sendBatch // in order, with consecutive numbers
	number  uint64       // of the last
	next    int          // index of the first that is not in the stream
	data    []byte       // memory for a batch on its way, or nil if it may still be in use
}

// sendBatch is a batch that was not handled yet.
type sendBatch struct {
	number uint64
	items  []byte
	count  int
	since  time.Duration
	tried  bool // it may be in the stream
}

// What an outbox keeps for the next items, in bytes, so that batches which are usual need no
// new memory: at some ten thousand messages a second, a batch has about 10 KiB.
const (
	maxSpare  = 32 << 10  // the largest piece
	maxSpares = 256 << 10 // all pieces
)

// idleOutbox is how long an outbox without items remains.
const idleOutbox = time.Minute

// Send implements router.Nodes.
func (n *Node) Send(to router.NodeID, account string, item []byte) bool {
	size := len(account) + len(item) + 8
	for {
		o := n.outbox(uint64(to))
		if o == nil {
			n.stats.refusedItems.Add(1)
			return false
		}
		o.mu.Lock()
		if o.ended {
			o.mu.Unlock()
			continue
		}
		if o.bytes+size > n.config.QueueBytes || n.out.bytes.Load()+int64(size) > int64(n.config.TotalBytes) {
			o.missed = n.now()
			o.mu.Unlock()
			n.stats.refusedItems.Add(1)
			return false
		}
		if o.count == 0 {
			o.since = n.now()
		}
		before := len(o.items)
		o.items = appendItem(o.items, account, item)
		o.count++
		o.bytes += len(o.items) - before
		n.out.bytes.Add(int64(len(o.items) - before))
		if o.count == 1 {
			token(o.added)
		}
		o.mu.Unlock()
		return true
	}
}

// outbox returns the queue for a node, or nil if there can be none.
func (n *Node) outbox(to uint64) *outbox {
	n.out.mu.Lock()
	defer n.out.mu.Unlock()
	if n.out.closed || to == n.epoch.Load() || to == 0 {
		return nil
	}
	o := n.out.byNode[to]
	if o == nil {
		o = &outbox{to: to, number: n.out.number, added: make(chan struct{}, 1)}
		n.out.byNode[to] = o
		n.out.tasks.Go(func() { n.deliver(o) })
	}
	return o
}

// deliver is the goroutine of an outbox.
func (n *Node) deliver(o *outbox) {
	poll := slowPoll
	for {
		changed, m := n.whenChanged(), n.members.Load()
		// It was cleaned up: its stream was closed, or the engine has lost it.
		gone := m.isDead(o.to) && !m.awaitsCleaning(o.to)
		progress, reached := n.exchange(o, gone)
		if n.settle(o, gone && reached) {
			return
		}
		if reached {
			n.repair(o)
		}
		if progress {
			poll = slowPoll
			if o.next < len(o.batches) || o.waiting() && o.unhandled() < n.config.QueueBytes/2 {
				continue
			}
		}
		wait, idle := n.idle, true
		if len(o.batches) > 0 || o.waiting() {
			wait, idle = poll, false
			poll = min(2*poll, max(n.config.Wait/8, fastPoll))
			if o.unhandled() >= n.config.QueueBytes/4 {
				wait = fastPoll
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-o.added:
			poll = slowPoll
		case <-changed:
			poll = slowPoll
		case <-timer.C:
			if idle && n.retire(o) {
				return
			}
		case <-n.ctx.Done():
			timer.Stop()
			n.giveUp(o)
			return
		}
		timer.Stop()
	}
}

// After these times an outbox asks again what its node has handled, if it has nothing to send:
// the slow one to free memory, doubled each time, because a large cluster has very many
// outboxes; the fast one if much is unhandled.
const (
	slowPoll = time.Second
	fastPoll = 50 * time.Millisecond
)

// waiting reports whether there are items that are in no batch.
func (o *outbox) waiting() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count > 0
}

// unhandled is the size of the batches.
func (o *outbox) unhandled() (bytes int) {
	for _, b := range o.batches {
		bytes += len(b.items)
	}
	return bytes
}

// cut makes a batch of the items that wait, if the last batch is in the stream, and not too
// much is unhandled.
func (n *Node) cut(o *outbox) {
	if o.next < len(o.batches) || o.unhandled() >= n.config.QueueBytes/2 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count == 0 {
		return
	}
	o.number++
	o.batches = append(o.batches, &sendBatch{number: o.number, items: o.items, count: o.count, since: o.since})
	o.items, o.count, o.unsent = nil, 0, true
	if k := len(o.spare) - 1; k >= 0 {
		o.items, o.spare = o.spare[k], o.spare[:k]
		o.spareBytes -= cap(o.items)
	}
}

// exchange sends the next batch, if there is one and the node is not gone, and finds out what
// was handled. It reports whether anything has changed, and whether the engine was reached.
func (n *Node) exchange(o *outbox, gone bool) (progress, reached bool) {
	if !n.usable() {
		return false, false
	}
	if !gone {
		if n.cut(o); len(o.batches) == 0 {
			return false, true
		}
	}
	var data []byte
	var number, base uint64
	var b *sendBatch
	if len(o.batches) > 0 {
		base = o.batches[0].number
	}
	if !gone && o.next < len(o.batches) {
		b = o.batches[o.next]
		number = b.number
		data = appendBatch(slices.Grow(o.data[:0], batchHead+len(b.items)), n.run, n.epoch.Load(), number, b.items)
		o.data = nil
		b.tried = true
	}
	reply, err := n.engine.do(n.ctx, sendScript, streamKeys(o.to), []string{strconv.FormatUint(n.run, 10), strconv.FormatUint(number, 10),
		rueidis.BinaryString(data), strconv.FormatUint(base, 10)}).AsIntSlice()
	if n.engine.failed(err) || len(reply) != 3 {
		n.stats.errors.Add(1)
		return false, false
	}
	if data != nil && cap(data) <= maxSpare {
		o.data = data // there is a reply, so the request was written
	}
	if reply[0] == 1 {
		n.streamClosed(o, reply[1])
		return true, true
	}
	if gone && !n.dropStream(o.to) {
		return false, false
	}
	if b != nil && reply[1] == int64(number) {
		n.stats.sentBatches.Add(1)
		n.stats.sentItems.Add(uint64(b.count))
		n.stats.sentBytes.Add(uint64(len(data)))
	}
	before, had := o.next, len(o.batches)
	n.handled(o, reply[2])
	// If the engine has lost batches, the next is an earlier one than before.
	o.next = 0
	for o.next < len(o.batches) && int64(o.batches[o.next].number) <= reply[1] {
		o.next++
	}
	return len(o.batches) != had || o.next != before, true
}

// handled removes the batches that were handled.
func (n *Node) handled(o *outbox, number int64) {
	k, size := 0, 0
	for k < len(o.batches) && int64(o.batches[k].number) <= number {
		size += len(o.batches[k].items)
		k++
	}
	n.dropBatches(o, k, size)
}

// dropBatches removes the first k batches with size bytes.
func (n *Node) dropBatches(o *outbox, k, size int) {
	dropped := o.batches[:k]
	if o.batches = o.batches[k:]; len(o.batches) == 0 {
		o.batches = nil
	}
	o.next = max(0, o.next-k)
	o.mu.Lock()
	o.bytes -= size
	for _, b := range dropped {
		if c := cap(b.items); c > 0 && c <= maxSpare && o.spareBytes+c <= maxSpares {
			o.spare = append(o.spare, b.items[:0])
			o.spareBytes += c
		}
	}
	o.mu.Unlock()
	clear(dropped)
	n.out.bytes.Add(-int64(size))
}

// retire removes an empty outbox. Numbers are not used again: another outbox for the same node
// continues with higher ones, because the engine and the node skip those that they have had.
func (n *Node) retire(o *outbox) bool {
	n.out.mu.Lock()
	defer n.out.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes > 0 || len(o.batches) > 0 || o.missed > 0 {
		return false
	}
	o.ended = true
	n.out.number = max(n.out.number, o.number)
	delete(n.out.byNode, o.to)
	return true
}

// drainOutboxes waits until all is in the streams, or ctx ends.
func (n *Node) drainOutboxes(ctx context.Context) {
	for n.out.unsent() && ctx.Err() == nil {
		timer := time.NewTimer(fastPoll / 5)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// unsent reports whether there is something that is not in a stream.
func (x *outboxes) unsent() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range x.byNode {
		o.mu.Lock()
		unsent := o.count > 0 || o.unsent
		o.mu.Unlock()
		if unsent {
			return true
		}
	}
	return false
}

// close refuses items from now on.
func (x *outboxes) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}
