package server

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestCheckLoops: a hanging loop is detected, and so is its recovery.
func TestCheckLoops(t *testing.T) {
	s := startServer(t, nil)
	if err := s.CheckLoops(context.Background()); err != nil {
		t.Error(err)
	}
	release := make(chan struct{})
	s.poller.PostAll(func(loop int) {
		if loop == 1 {
			<-release
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.CheckLoops(ctx); err == nil || !strings.Contains(err.Error(), "of 2 event loops do not respond") {
		t.Errorf("with a loop that hangs: %v", err)
	}
	close(release)
	if err := s.CheckLoops(context.Background()); err != nil {
		t.Error(err)
	}
}
