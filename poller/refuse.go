//go:build linux

package poller

import "roost/poller/epoll"

// Refuse begins or ends to refuse connections: they are accepted and reset at once. Closing
// the listener is clearer to clients, and cannot be undone if the socket belongs to
// somebody else too, such as a service manager.
func (l *Listener) Refuse(on bool) {
	done := make(chan struct{})
	l.loop.post(nil, func(int) {
		defer close(done)
		l.refusing = on
		if !on {
			return
		}
		for h := range l.headers {
			h.end(nil)
		}
	})
	select {
	case <-done:
	case <-l.loop.done:
	}
}

// reset closes an accepted socket in a way that its peer takes for a refusal. Loop.
func (l *Listener) reset(fd int) {
	l.p.stats.refused[RefusedDraining].Add(1)
	_ = epoll.ResetOnClose(fd)
	_ = epoll.Close(fd)
}
