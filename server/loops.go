package server

import (
	"context"
	"fmt"
	"sync/atomic"
)

// CheckLoops waits until each event loop has run a function, which happens between two
// batches of events. If ctx ends first, the error contains the number of loops that have
// not.
func (s *Server) CheckLoops(ctx context.Context) error {
	loops := int64(s.poller.Loops())
	var turned atomic.Int64
	done := make(chan struct{})
	s.poller.PostAll(func(int) {
		if turned.Add(1) == loops {
			close(done)
		}
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("server: %d of %d event loops do not respond", loops-turned.Load(), loops)
	}
}

// Online returns the number of authenticated clients.
func (s *Server) Online() int { return s.sessions.Counts().Bound }
