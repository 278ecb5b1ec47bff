package memnodes

// Ways to have things arrive late.

// HoldUpdates makes updates of presence wait, as if the directory had not got them yet, until the
// returned function is called.
func (c *Cluster) HoldUpdates() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = true
	return func() {
		c.mu.Lock()
		held := c.held
		c.hold, c.held = false, nil
		c.mu.Unlock()
		for _, f := range held {
			f()
		}
	}
}

// Hold makes the node handle nothing that others send it, until release is called.
func (n *Node) Hold() (release func()) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.held = true
	return func() {
		n.c.mu.Lock()
		defer n.c.mu.Unlock()
		n.held = false
		n.wake.Signal()
	}
}

// HoldFor keeps what is sent to the node for an account from it, until release is called.
func (n *Node) HoldFor(account string) (release func()) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.heldFor = make(map[string][]item)
	n.heldFor[account] = nil
	return func() {
		n.c.mu.Lock()
		defer n.c.mu.Unlock()
		n.items = append(n.items, n.heldFor[account]...)
		n.c.pending += len(n.heldFor[account])
		n.heldFor = nil
		n.wake.Signal()
	}
}

// HoldSent keeps what the node sends from the others, as if they had not got it yet, until release
// is called.
func (n *Node) HoldSent() (release func()) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.holding = true
	return func() {
		n.c.mu.Lock()
		sent := n.sent
		n.holding, n.sent = false, nil
		n.c.mu.Unlock()
		for _, f := range sent {
			f()
		}
	}
}
