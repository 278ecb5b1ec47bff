package cluster

// laneItem is an item for a lane.
type laneItem struct {
	entry   *received
	account string
	item    string
}

// lane handles the items of some accounts. An item counts as handled when it was flushed.
func (n *Node) lane(items <-chan laneItem) {
	l := n.handler.NewLane()
	unflushed := make([]*received, 0, laneItems)
	flush := func() {
		if len(unflushed) == 0 {
			return
		}
		l.Flush()
		for _, e := range unflushed {
			n.itemDone(e)
		}
		clear(unflushed)
		unflushed = unflushed[:0]
	}
	var item []byte
	for i := range items {
		if n.mayHandle(i.entry, flush) {
			item = append(item[:0], i.item...)
			l.Item(i.entry.from, i.account, item)
			if cap(item) > maxSpare {
				item = nil
			}
			unflushed = append(unflushed, i.entry)
		}
		if len(items) == 0 || len(unflushed) == cap(unflushed) {
			flush()
		}
	}
	flush()
}

// mayHandle reports whether an item still belongs to this node. If the lease is over, it
// waits: another node may have taken over the stream. It calls flush before it waits.
func (n *Node) mayHandle(e *received, flush func()) bool {
	for !n.leased() {
		flush()
		changed := n.whenChanged()
		if n.leased() {
			break
		}
		n.hurry()
		select {
		case <-changed:
		case <-n.taking.Done():
			return false
		}
	}
	return n.epoch.Load() == e.epoch
}
