package cluster

import (
	"context"
	"time"

	"roost/router"
)

// How an outbox returns items that its node does not get.

// streamClosed handles that the node is dead and its stream is taken over: what is in the
// stream is returned there, the rest here.
func (n *Node) streamClosed(o *outbox, last int64) {
	n.handled(o, last)
	for _, b := range o.batches {
		b.tried = false
	}
	n.returnBatches(o)
	n.returnItems(o)
}

// returnBatches returns all batches to the handler.
func (n *Node) returnBatches(o *outbox) {
	size := 0
	for _, b := range o.batches {
		n.undelivered(o.to, b.items, b.tried)
		size += len(b.items)
	}
	n.dropBatches(o, len(o.batches), size)
}

// returnItems returns the items that are in no batch to the handler.
func (n *Node) returnItems(o *outbox) {
	o.mu.Lock()
	items := o.items
	o.items, o.count = nil, 0
	o.bytes -= len(items)
	o.mu.Unlock()
	n.out.bytes.Add(-int64(len(items)))
	n.undelivered(o.to, items, false)
}

// undelivered returns items to the handler.
func (n *Node) undelivered(to uint64, items []byte, again bool) {
	err := eachItem(items, func(account string, item []byte) {
		n.stats.undelivered.Add(1)
		n.handler.Undelivered(router.NodeID(to), account, item, again)
	})
	if err != nil {
		panic("cluster: BUG: " + err.Error())
	}
}

// dropStream removes the stream of a dead node that nobody has closed: the engine has lost the node,
// so nobody cleans up after it, and what is in the stream is returned by those who have sent it.
func (n *Node) dropStream(of uint64) bool {
	ctx, cancel := context.WithTimeout(n.ctx, n.engine.timeout)
	defer cancel()
	c := n.engine.client
	return !n.engine.failed(c.Do(ctx, c.B().Unlink().Key(streamKeys(of)...).Build()).Error())
}

// settle returns what has waited for too long, or whose node is gone. It reports whether the
// outbox has ended.
func (n *Node) settle(o *outbox, gone bool) (ended bool) {
	if gone {
		n.returnBatches(o)
		n.returnItems(o)
		o.mu.Lock()
		o.missed = 0 // contacts are told of its end
		o.mu.Unlock()
		return n.retire(o)
	}
	limit := n.now() - n.config.Wait
	// What is in the stream stays there until the node has handled it, or is dead.
	if k := o.next; k < len(o.batches) && o.batches[k].since < limit {
		for _, b := range o.batches[k:] {
			n.undelivered(o.to, b.items, b.tried)
			o.mu.Lock()
			o.bytes -= len(b.items)
			o.missed = n.now()
			o.mu.Unlock()
			n.out.bytes.Add(-int64(len(b.items)))
			b.items, b.count = nil, 0 // its number remains, as an empty batch
		}
	}
	o.mu.Lock()
	late := o.count > 0 && o.since < limit
	o.unsent = o.next < len(o.batches)
	if late {
		o.missed = n.now()
	}
	o.mu.Unlock()
	if late {
		n.returnItems(o)
	}
	return false
}

// repeatPause is how long presence is not repeated again because of an outbox, in Config.Wait: what
// is repeated may fill the queue for a slow node again.
const repeatPause = 10

// repair has presence repeated if items for a node were refused or returned, as soon as the node gets
// items again. Of most items but messages, nobody else makes good that the node has not got them.
func (n *Node) repair(o *outbox) {
	o.mu.Lock()
	missed, bytes := o.missed, o.bytes
	o.mu.Unlock()
	if missed == 0 || o.next < len(o.batches) || bytes >= n.config.QueueBytes/4 || n.out.bytes.Load() >= int64(n.config.TotalBytes/2) {
		return
	}
	if last := time.Duration(n.out.repeated.Load()); missed >= last { // otherwise it was repeated since
		if last > 0 && n.now()-last < repeatPause*n.config.Wait {
			return
		}
		n.lose(router.LostPresence)
		n.hurry()
	}
	o.mu.Lock()
	if o.missed == missed {
		o.missed = 0
	}
	o.mu.Unlock()
}

// giveUp returns what is left when this node is closed.
func (n *Node) giveUp(o *outbox) {
	o.batches = o.batches[o.next:] // the rest is in the stream
	o.next = 0
	n.returnBatches(o)
	n.returnItems(o)
}
