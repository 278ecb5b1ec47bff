package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"roost/poller"
)

// listeners are the server's listeners for clients. They can stop listening and listen
// again.
type listeners struct {
	mu  sync.Mutex
	all []*listener
}

// listenFunc opens a listener, and listenOnFunc makes one of a socket.
type (
	listenFunc   func(addr string, cfg *tls.Config) (*poller.Listener, error)
	listenOnFunc func(socket *net.TCPListener, cfg *tls.Config) (*poller.Listener, error)
)

// webSocketListener is the name of the listener for WebSocket.
const webSocketListener = "XMPP clients (WebSocket)"

// listener is one address that clients connect to.
type listener struct {
	Address // with the port that was bound
	listen  listenFunc
	tls     *tls.Config // nil: STARTTLS
	passed  bool        // the socket was passed by a service manager, and stays open
	l       *poller.Listener
	open    bool // it listens, and refuses no connections
}

// add listens on the sockets, or on the address if there are none; an empty one is none.
func (s *listeners) add(name, addr string, sockets []*net.TCPListener, listen listenFunc, listenOn listenOnFunc, cfg *tls.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	add := func(l *poller.Listener, passed bool) {
		s.all = append(s.all, &listener{Address: Address{Name: name, Addr: l.Addr()}, listen: listen, tls: cfg, passed: passed, l: l, open: true})
	}
	for _, socket := range sockets {
		l, err := listenOn(socket, cfg)
		if err != nil {
			return fmt.Errorf("server: cannot listen on the socket %s: %w", socket.Addr(), err)
		}
		add(l, true)
	}
	if addr == "" || len(sockets) > 0 {
		return nil
	}
	l, err := listen(addr, cfg)
	if err != nil {
		return listenError(addr, err)
	}
	add(l, false)
	return nil
}

// addrs are the addresses that clients connect to, also while they cannot.
func (s *listeners) addrs() (all []Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		all = append(all, l.Address)
	}
	return all
}

// stop refuses new connections until resume. Sockets are closed, so that load balancers
// notice at once; the kernel of a socket that a service manager holds too would go on to
// accept connections, so these are reset.
func (s *listeners) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		if !l.open {
			continue
		}
		l.open = false
		if l.passed {
			l.l.Refuse(true)
		} else {
			_ = l.l.Close()
		}
	}
}

// resume listens again on the same addresses. If an address is in use meanwhile, the others
// are listened on, and resume may be called again.
func (s *listeners) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.all {
		switch {
		case l.open:
			continue
		case l.passed:
			l.l.Refuse(false)
		default:
			again, err := l.listen(l.Addr.String(), l.tls)
			if err != nil {
				errs = append(errs, listenError(l.Addr.String(), err))
				continue
			}
			l.l = again
		}
		l.open = true
	}
	return errors.Join(errs...)
}

// close closes all sockets.
func (s *listeners) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.all {
		if l.open || l.passed {
			errs = append(errs, l.l.Close())
		}
		l.open = false
	}
	return errors.Join(errs...)
}
