//go:build interop

package interop

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// network is what a client's connections to a server pass through: a proxy that cuts them
// after any number of bytes. Each new connection goes to the next of several nodes.
type network struct {
	address  string   // host:port, for clients
	servers  []string // host:port
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool
	left  int    // bytes that still pass, in both directions together; negative if all do
	order string // what happens then
}

// link is a connection of a client and the one to the server.
type link struct {
	client, server *net.TCPConn
	lost           bool // what either side sends is discarded: under network.mu
}

// newNetwork starts a network before the servers at these addresses. It ends when t ends.
func newNetwork(t *testing.T, servers ...string) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{address: listener.Addr().String(), servers: servers, listener: listener, links: make(map[*link]bool), left: -1}
	n.running.Go(n.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		n.mu.Lock()
		for l := range n.links {
			l.close()
		}
		n.mu.Unlock()
		n.running.Wait()
	})
	return n
}

func (n *network) accept() {
	for next := 0; ; next++ {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", n.servers[next%len(n.servers)])
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{client: client.(*net.TCPConn), server: server.(*net.TCPConn)}
		n.mu.Lock()
		n.links[l] = true
		n.mu.Unlock()
		n.running.Go(func() {
			var both sync.WaitGroup
			both.Go(func() { n.pass(l, l.client, l.server) })
			both.Go(func() { n.pass(l, l.server, l.client) })
			both.Wait()
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.links, l)
			l.close()
		})
	}
}

// pass passes on what one side sends.
func (n *network) pass(l *link, from, to *net.TCPConn) {
	buf := make([]byte, 4<<10)
	for {
		size, err := from.Read(buf)
		n.mu.Lock()
		lost := l.lost
		pass, cut := n.spend(size)
		n.mu.Unlock()
		if !lost {
			_, _ = to.Write(buf[:pass]) // if it is closed, so is the other side soon
		}
		if cut {
			n.cut()
		}
		if err == nil {
			continue
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		switch {
		case l.lost: // the other side is not told
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()
		default:
			l.close()
		}
		return
	}
}

// spend returns how many of these bytes pass, and whether the order is carried out then. The
// caller holds n.mu.
func (n *network) spend(size int) (pass int, cut bool) {
	switch {
	case n.left < 0:
		return size, false
	case size < n.left:
		n.left -= size
		return size, false
	}
	pass, n.left = n.left, -1
	return pass, true
}

// cut carries out the order.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		switch n.order {
		case "cut":
			l.close()
		case "lose":
			reset(l.client)
			l.lost = true
		case "stall":
			l.lost = true
		}
	}
}

// obey carries out an order for all connections, after N bytes: with "cut N" both sides
// notice that their connection is cut; with "lose N" only the client does; with "stall N"
// neither, and nothing passes any more. With a negative number, nothing happens to them. It
// returns false if the order is something else.
func (n *network) obey(order string) bool {
	how, text, _ := strings.Cut(order, " ")
	after, err := strconv.Atoi(text)
	if err != nil || how != "cut" && how != "lose" && how != "stall" {
		return false
	}
	n.mu.Lock()
	n.left, n.order = after, how
	if after == 0 {
		n.left = -1
	}
	n.mu.Unlock()
	if after == 0 {
		n.cut()
	}
	return true
}

func (l *link) close() {
	reset(l.client)
	reset(l.server)
}

// reset closes a connection as if its network were gone: the other side gets an error.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
