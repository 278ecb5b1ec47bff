//go:build linux

package poller

import (
	"io"
)

// recordLayer translates between the bytes of the socket and those of the handler. Layers
// nest: one may sit on another, such as frames on TLS, and then calls the same methods of
// the one below. Conn.layer is the topmost layer. TLS layers and plain are at the bottom,
// on the socket and the outbox.
//
// "Loop" and "under mu" have the same meaning as in the rest of the package. A layer
// never blocks.
type recordLayer interface {
	// open takes bytes from below and passes their content to above. p is valid until
	// open returns. Loop.
	open(p []byte, above receiver) error

	// resume passes on the input that waited for the end of a pause. It is called after
	// everything that was delivered before the pause has been consumed. Loop.
	resume(above receiver) error

	// seal appends m to the outbox, through the seal method of the layer below. Messages
	// of several goroutines keep the order in which these got mu, in every layer, so a
	// layer may number them. After an error no part of m is in the outbox, or the
	// connection ends. Under mu, which is held throughout.
	seal(m message) error

	// eof is called when the socket reports the peer's end. It returns nil if the peer
	// has ended the layer properly, errNotYet if the layer cannot end yet and will read
	// the end again, and otherwise an error that says why the end is improper. Loop.
	eof() error

	// closeWrite seals the layer's last message, then calls closeWrite of the layer
	// below. Loop.
	closeWrite()

	// free releases the layer's resources. It returns the error with which the connection
	// ends, if the layer has one. Loop.
	free() error

	// secure reports whether TLS protects the layer's bytes. Any goroutine may call it.
	secure() bool

	// messages reports whether the peer can tell where each message begins and ends. Any
	// goroutine may call it.
	messages() bool

	// rebase returns the stack of layers with its bottom layer replaced. Loop, under mu.
	rebase(bottom recordLayer) recordLayer

	// moveTo returns the stack for another connection, which gets the socket and which no
	// other goroutine knows yet. The previous one no longer uses it. Loop of the other
	// connection.
	moveTo(c *Conn) recordLayer
}

// message is what one call of Queue sends. Layers put bytes in front of it without copying
// it. The head is an array, because a slice of memory on the stack would have to be
// allocated when it is passed to an interface method.
type message struct {
	head [maxHead]byte
	n    uint8 // bytes used of head
	body []byte
}

// maxHead is the maximum size in bytes of what layers put in front of a message: the header
// of a frame, and a declaration inserted after the message's first bytes.
const maxHead = 55

func (m *message) len() int { return int(m.n) + len(m.body) }

// receiver receives the content that a record layer has opened.
type receiver interface {
	// receive takes p, which is valid until it returns. Input that the handler cannot
	// consume yet is stashed, so a layer may pass on everything that it has opened, even
	// while the connection is paused. Loop.
	receive(p []byte)
}

// handlerEnd is the connection as the receiver above all layers.
type handlerEnd Conn

func (e *handlerEnd) receive(p []byte) { (*Conn)(e).deliver(p) }

// plain is the layer of a connection without TLS. It is the Conn itself and takes no
// memory.
type plain Conn

func (l *plain) open(p []byte, above receiver) error {
	above.receive(p)
	return nil
}

func (l *plain) resume(receiver) error { return nil }

func (l *plain) seal(m message) error {
	c := (*Conn)(l)
	if m.n > 0 {
		c.append(m.head[:m.n])
	}
	c.append(m.body)
	return nil
}

func (l *plain) eof() error                            { return nil }
func (l *plain) closeWrite()                           {}
func (l *plain) free() error                           { return nil }
func (l *plain) secure() bool                          { return false }
func (l *plain) messages() bool                        { return false }
func (l *plain) rebase(bottom recordLayer) recordLayer { return bottom }
func (l *plain) moveTo(c *Conn) recordLayer            { return (*plain)(c) }

// bottom returns the layer at the bottom of a stack. Under mu, or loop.
func bottom(l recordLayer) recordLayer {
	if ws, ok := l.(*webSocket); ok {
		return ws.below
	}
	return l
}

// setBottom replaces the layer at the bottom of the connection's stack. Loop.
func (c *Conn) setBottom(bottom recordLayer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layer = c.layer.rebase(bottom)
}

// input passes bytes from the socket through the layers. Loop.
func (c *Conn) input(p []byte) {
	if c.closing() {
		return // input is discarded
	}
	if err := c.layer.open(p, (*handlerEnd)(c)); err != nil {
		c.destroyLater(err)
	}
}

// resumeLayers resumes the layers after a pause. Loop.
func (c *Conn) resumeLayers() error { return c.layer.resume((*handlerEnd)(c)) }

// endOfInput returns the error for a peer that has closed its side: io.EOF, unless a
// layer was not ended properly. Loop.
func (c *Conn) endOfInput() error {
	if err := c.layer.eof(); err != nil {
		return err
	}
	return io.EOF
}
