package cluster

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"roost/router"
)

// inbox is what this node takes from its stream.
type inbox struct {
	again atomic.Bool   // the engine may have lost entries: read from the beginning
	due   chan struct{} // a token if something can be acknowledged
	freed chan struct{} // a token if there is space again

	epoch uint64 // whose stream it is; written with mu held by the goroutine that receives

	// Owned by the goroutine that receives.
	last string            // ID of the last entry that was read
	had  map[uint64]uint64 // number of the last batch of each run

	mu      sync.Mutex
	entries []*received // that are not acknowledged, in the order of the stream
	bytes   int         // of these
	ack     ack         // what can be acknowledged
	resets  int         // how often reading has begun again
}

// received is an entry of the stream.
type received struct {
	epoch       uint64 // of this node
	from        router.NodeID
	id          string // "" if the stream was lost since
	run, number uint64
	size        int
	left        atomic.Int32 // items that are not handled, and 1 while they are handed out
}

// ack is what the engine is told about handled entries.
type ack struct {
	epoch   uint64            // whose stream it is
	resets  int               // of the inbox
	trim    string            // ID of the last that was handled, if they can be removed
	numbers map[uint64]uint64 // by run
}

const (
	laneItems     = 256 // that wait in a lane
	readEntries   = 32  // in one read
	ackDelay      = 20 * time.Millisecond
	startOfStream = "0-0"
)

func (in *inbox) init() {
	in.due, in.freed = make(chan struct{}, 1), make(chan struct{}, 1)
	in.had, in.last = make(map[uint64]uint64), startOfStream
}

// size is how many bytes are not handled.
func (in *inbox) size() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bytes
}

// receive reads the stream of this node, and hands the items to the lanes: those of an
// account to the same one, so that they stay in order.
func (n *Node) receive() {
	lanes := make([]chan laneItem, n.config.Lanes)
	var tasks sync.WaitGroup
	for i := range lanes {
		lanes[i] = make(chan laneItem, laneItems)
		tasks.Go(func() { n.lane(lanes[i]) })
	}
	for n.taking.Err() == nil {
		changed := n.whenChanged()
		if !n.usable() || n.engine.suspect.Load() {
			select {
			case <-changed:
			case <-n.taking.Done():
			}
			continue
		}
		n.resetInbox()
		for _, m := range n.readStream() {
			n.handOut(m, lanes)
		}
		n.waitForSpace()
	}
	for _, l := range lanes {
		close(l)
	}
	tasks.Wait()
	n.sendAck(context.Background())
}

// resetInbox begins again with another stream, or at the beginning of this one.
func (n *Node) resetInbox() {
	in, epoch := &n.in, n.epoch.Load()
	again := in.again.Swap(false)
	if epoch == in.epoch && !again {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if epoch != in.epoch {
		// Others return what was in the old stream.
		clear(in.had)
		in.entries, in.bytes, in.ack = nil, 0, ack{}
	}
	in.epoch, in.last = epoch, startOfStream
	in.resets++
	in.ack.trim = "" // IDs are of the time of the server, and another may be late
	for _, e := range in.entries {
		e.id = ""
	}
}

// readStream acknowledges what was handled, waits for entries, and returns them.
func (n *Node) readStream() []rueidis.RedisMessage {
	block := n.config.Lease / 4
	ctx, cancel := context.WithTimeout(n.taking, block+n.engine.timeout)
	defer cancel()
	in, c := &n.in, n.engine.client
	keys := streamKeys(in.epoch)
	read := c.B().Xread().Count(readEntries).Block(block.Milliseconds()).Streams().Key(keys[0]).Id(in.last).Build()
	var reply rueidis.RedisResult
	if a := in.takeAck(); a.empty() {
		reply = c.Do(ctx, read)
	} else {
		replies := c.DoMulti(ctx, ackScript.call(c, keys, a.args()), read)
		closed, err := replies[0].AsInt64()
		if noScript(err) {
			err = n.engine.load(ctx)
			in.returnAck(a)
		} else if err != nil {
			in.returnAck(a)
		}
		if n.engine.failed(err) && !refused(err) || closed == 1 {
			n.hurry()
			return nil
		}
		reply = replies[1]
	}
	message, err := reply.ToMessage()
	if rueidis.IsRedisNil(err) {
		return nil
	}
	if n.taking.Err() != nil || n.engine.failed(err) || !n.leased() {
		// After a stop of the process, another node may have taken over the stream.
		n.hurry()
		return nil
	}
	streams, err := message.ToMap()
	if err != nil {
		n.log.Error("the stream of this node cannot be read", "err", err)
		return nil
	}
	stream := streams[keys[0]]
	entries, _ := stream.ToArray()
	return entries
}

// handOut gives the items of an entry to the lanes.
func (n *Node) handOut(message rueidis.RedisMessage, lanes []chan laneItem) {
	in := &n.in
	id, data, ok := streamEntry(message)
	if ok {
		in.last = id
	}
	run, from, number, items, err := splitBatch(data)
	if !ok || err != nil {
		n.log.Error("an entry in the stream of this node is damaged", "err", errBatch)
		n.stats.errors.Add(1)
	} else {
		n.hear(from)
	}
	e := &received{epoch: in.epoch, from: router.NodeID(from), id: id, run: run, number: number, size: len(data)}
	e.left.Store(1)
	in.mu.Lock()
	in.entries = append(in.entries, e)
	in.bytes += e.size
	in.mu.Unlock()
	if before, known := in.had[run]; known && number <= before {
		n.stats.repeated.Add(1)
		items = ""
	} else {
		in.had[run] = number
	}
	count := 0
	err = eachItem(items, func(account, item string) {
		count++
		e.left.Add(1)
		lanes[hash32(account)%uint32(len(lanes))] <- laneItem{e, account, item}
	})
	if err != nil {
		n.log.Error("an entry in the stream of this node is damaged", "err", err)
		n.stats.errors.Add(1)
	}
	n.stats.receivedBatches.Add(1)
	n.stats.receivedItems.Add(uint64(count))
	n.stats.receivedBytes.Add(uint64(len(data)))
	n.itemDone(e)
}

// streamEntry returns the parts of an entry: [id, [field, value]].
func streamEntry(message rueidis.RedisMessage) (id, data string, ok bool) {
	part, err := message.ToArray()
	if err != nil || len(part) != 2 {
		return "", "", false
	}
	id, err = part[0].ToString()
	fields, err2 := part[1].ToArray()
	if err != nil || err2 != nil || len(fields) != 2 {
		return id, "", id != ""
	}
	data, _ = fields[1].ToString()
	return id, data, true
}

// itemDone counts down, and removes the entries at the beginning that are done.
func (n *Node) itemDone(e *received) {
	if e.left.Add(-1) > 0 {
		return
	}
	in := &n.in
	in.mu.Lock()
	defer in.mu.Unlock()
	k := 0
	for ; k < len(in.entries) && in.entries[k].left.Load() == 0; k++ {
		d := in.entries[k]
		in.bytes -= d.size
		if d.id != "" {
			in.ack.trim = d.id
		}
		if d.number > in.ack.numbers[d.run] {
			if in.ack.numbers == nil {
				in.ack.numbers = make(map[uint64]uint64)
			}
			in.ack.numbers[d.run] = d.number
		}
		in.entries[k] = nil
	}
	if k == 0 {
		return
	}
	if in.entries = in.entries[k:]; len(in.entries) == 0 {
		in.entries = nil
	}
	token(in.due)
	token(in.freed)
}

// waitForSpace waits until less is unhandled than the limit. It does not if this node has joined
// again: the lanes drop what is left of the old stream, and resetInbox forgets it.
func (n *Node) waitForSpace() {
	for n.in.size() > n.config.HandleBytes {
		changed := n.whenChanged()
		if n.epoch.Load() != n.in.epoch {
			return
		}
		select {
		case <-n.in.freed:
		case <-changed:
		case <-n.taking.Done():
			return
		}
	}
}

func (a ack) empty() bool { return a.trim == "" && len(a.numbers) == 0 }

// args are the arguments of the script.
func (a ack) args() []string {
	args := []string{nextID(a.trim)}
	for run, number := range a.numbers {
		args = append(args, strconv.FormatUint(run, 10), strconv.FormatUint(number, 10))
	}
	return args
}

// nextID is the lowest ID after another one.
func nextID(id string) string {
	ms, sequence, ok := strings.Cut(id, "-")
	if !ok {
		return id
	}
	number, err := strconv.ParseUint(sequence, 10, 64)
	if err != nil {
		return id
	}
	return ms + "-" + strconv.FormatUint(number+1, 10)
}

// takeAck takes what can be acknowledged.
func (in *inbox) takeAck() ack {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.ack
	in.ack = ack{}
	a.epoch, a.resets = in.epoch, in.resets
	return a
}

// returnAck puts back what could not be sent.
func (in *inbox) returnAck(a ack) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if a.epoch != in.epoch {
		return
	}
	if in.ack.trim == "" && a.resets == in.resets {
		in.ack.trim = a.trim
	}
	if in.ack.numbers == nil {
		in.ack.numbers = make(map[uint64]uint64)
	}
	for run, number := range a.numbers {
		in.ack.numbers[run] = max(in.ack.numbers[run], number)
	}
}

// acknowledge sends acknowledgements that would otherwise wait for the next entry.
func (n *Node) acknowledge() {
	for {
		select {
		case <-n.in.due:
		case <-n.ctx.Done():
			return
		}
		timer := time.NewTimer(ackDelay)
		select {
		case <-timer.C:
			n.sendAck(n.ctx)
		case <-n.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// sendAck acknowledges what was handled.
func (n *Node) sendAck(ctx context.Context) {
	if !n.usable() || n.engine.suspect.Load() {
		return // the next read takes it
	}
	a := n.in.takeAck()
	if a.empty() {
		return
	}
	if err := n.engine.do(ctx, ackScript, streamKeys(a.epoch), a.args()).Error(); n.engine.failed(err) {
		n.in.returnAck(a)
	}
}
