package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// lateBind makes the kernel choose a source port only when the destination is known, so
// that each server can use all ports.
func lateBind(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	}); e != nil {
		return e
	}
	return err
}

// target returns the address that a client connects to.
func (cs *Clients) target(c *Client) string {
	n := c.number
	if c.phone != nil {
		n += c.phone.moves
	}
	return cs.cfg.Targets[n%len(cs.cfg.Targets)]
}

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7), which package syscall does not
// define.
const ipBindAddressNoPort = 24

// dial connects one client. On loopback, source addresses are spread over 127.0.0.0/8,
// because one address has fewer than 65,536 ports.
func (cs *Clients) dial(ctx context.Context, c *Client) error {
	c.started = time.Now()
	d := net.Dialer{Timeout: 10 * time.Second}
	target := cs.target(c)
	if host, _, _ := net.SplitHostPort(target); strings.HasPrefix(host, "127.") {
		// The process number keeps the addresses of several load generators apart.
		n := uint64(os.Getpid())<<3 + cs.ids.Add(1)/20000
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16%200), byte(n>>8), byte(1+n%250))}
		d.Control = lateBind
	}
	conn, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if !cs.add() {
		_ = conn.Close()
		return errClosed
	}
	pc, err := cs.poller.Attach(conn, c)
	if err != nil {
		cs.open.Done()
		return fmt.Errorf("bench: %w", err)
	}
	c.conn.Store(pc)
	pc.Post(func(int) { c.start() })
	if cs.isClosing() { // Drop may have found no connection
		c.drop()
	}
	return nil
}

// errClosed means that Close was called.
var errClosed = errors.New("bench: no more clients are connected")

// add counts a connection, unless Close was called.
func (cs *Clients) add() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closing {
		return false
	}
	cs.open.Add(1)
	return true
}

func (cs *Clients) isClosing() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.closing
}
