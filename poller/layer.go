//go:build linux

package poller

import (
	"io"
)

// recordLayer is what stands between the bytes of the socket and those of the handler.
// Layers nest: one may sit on another, such as frames on TLS, and then calls the same
// methods of the one below. Conn.layer is the uppermost one. TLS layers and plain are at
// the bottom, on the socket and the outbox.
//
// "Loop" and "under mu" are those of package poller. A layer never blocks.
type recordLayer interface {
	// open takes bytes from below and passes what they contain to above. p is lent.
	// Loop.
	open(p []byte, above receiver) error

	// resume passes on what waited for the end of a pause, and is called after
	// everything that was delivered before the pause has been used. Loop.
	resume(above receiver) error

	// seal appends p, as one message, to the outbox, by the seal of the layer below.
	// What several goroutines seal keeps the order in which they got mu, in every
	// layer: a layer may count. After an error nothing of p is in the outbox, or the
	// connection ends. Under mu, which is held throughout.
	seal(p []byte) error

	// eof is called when the socket reports the peer's end. It returns nil if the
	// peer has ended the layer properly, errNotYet if the layer cannot end yet and
	// will read the end again, and why the end is improper otherwise. Loop.
	eof() error

	// closeWrite seals the layer's last message, then that of the layer below. Loop.
	closeWrite()

	// free gives back what the layer holds. It returns the error with which the
	// connection ends if the layer has one, nil otherwise. Loop.
	free() error

	// secure reports whether TLS protects what passes through. Any goroutine.
	secure() bool

	// rebase returns the stack with another layer at its bottom, on which everything
	// else goes on. Loop, under mu.
	rebase(bottom recordLayer) recordLayer
}

// receiver takes what a record layer has opened.
type receiver interface {
	// receive is lent p. What the handler cannot use yet is kept for it, so a layer
	// may pass on all that it has opened, also while the connection is paused. Loop.
	receive(p []byte)
}

// handlerEnd is the connection as the receiver above all layers.
type handlerEnd Conn

func (e *handlerEnd) receive(p []byte) { (*Conn)(e).deliver(p) }

// plain is the layer of a connection without TLS. It is the connection itself, and
// takes no memory.
type plain Conn

func (l *plain) open(p []byte, above receiver) error {
	above.receive(p)
	return nil
}

func (l *plain) resume(receiver) error { return nil }

func (l *plain) seal(p []byte) error {
	(*Conn)(l).append(p)
	return nil
}

func (l *plain) eof() error                            { return nil }
func (l *plain) closeWrite()                           {}
func (l *plain) free() error                           { return nil }
func (l *plain) secure() bool                          { return false }
func (l *plain) rebase(bottom recordLayer) recordLayer { return bottom }

// setBottom replaces the layer at the bottom of the connection's stack. Loop.
func (c *Conn) setBottom(bottom recordLayer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layer = c.layer.rebase(bottom)
}

// input takes bytes from the socket through the layers. Loop.
func (c *Conn) input(p []byte) {
	if c.closing() {
		return // nobody reads this any more
	}
	if err := c.layer.open(p, (*handlerEnd)(c)); err != nil {
		c.destroyLater(err)
	}
}

// resumeLayers has the layers go on. Loop.
func (c *Conn) resumeLayers() error { return c.layer.resume((*handlerEnd)(c)) }

// endOfInput returns the error for a peer that has closed its side: io.EOF, unless a
// layer is missing its proper end. Loop.
func (c *Conn) endOfInput() error {
	if err := c.layer.eof(); err != nil {
		return err
	}
	return io.EOF
}
