//go:build linux

package poller

import (
	"fmt"
	"net"

	"roost/poller/epoll"
)

// Attach takes over an established TCP connection, such as an outgoing one. nc must not
// be used afterwards. After an error it is closed, and the handler is not used, unless the
// poller was closed at that moment.
func (p *Poller) Attach(nc net.Conn, h Handler) (*Conn, error) {
	defer nc.Close()
	f, ok := nc.(filer)
	if !ok {
		return nil, fmt.Errorf("poller: a %T has no descriptor", nc)
	}
	fd, err := detachFD(f)
	if err != nil {
		return nil, err
	}
	p.setOptions(fd)
	c := p.newConn(fd)
	c.handler = h
	failed := make(chan error, 1)
	c.loop.post(c, func(int) { failed <- c.attach() })
	select {
	case err = <-failed:
	case <-c.loop.done:
		err = ErrClosed
	}
	if err != nil {
		c.abandon()
		return nil, fmt.Errorf("poller: %w", err)
	}
	return c, nil
}

// attach registers the connection, or leaves it as it was before. Loop.
func (c *Conn) attach() error {
	if c.loop.ending {
		return ErrClosed
	}
	err := c.register()
	if err != nil {
		c.leavePoll()
	}
	return err
}

// abandon closes the socket of a connection that is not registered. If the loop has ended,
// it may have closed the socket before.
func (c *Conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fd := c.takeFD(); fd >= 0 {
		_ = epoll.Close(fd)
	}
}
