//go:build linux

package poller

import (
	"fmt"
	"net"

	"roost/poller/epoll"
)

// Attach takes over an established TCP connection, such as an outgoing one. nc must not
// be used afterwards.
func (p *Poller) Attach(nc net.Conn, h Handler) (*Conn, error) {
	f, ok := nc.(filer)
	if !ok {
		return nil, fmt.Errorf("poller: a %T has no descriptor", nc)
	}
	defer nc.Close()
	fd, err := detachFD(f)
	if err != nil {
		return nil, err
	}
	p.setOptions(fd)
	c := p.newConn(fd)
	c.handler = h
	failed := make(chan error, 1)
	c.loop.post(c, func(int) {
		err := ErrClosed
		if !c.loop.ending {
			err = c.register()
		}
		failed <- err
	})
	select {
	case err = <-failed:
	case <-c.loop.done:
		err = ErrClosed
	}
	if err != nil {
		_ = epoll.Close(fd)
		return nil, fmt.Errorf("poller: %w", err)
	}
	return c, nil
}
