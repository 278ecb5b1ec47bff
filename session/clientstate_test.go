package session

import (
	"slices"
	"sync"
	"testing"
)

// TestHeldOrActive: what is held for an inactive client is reported when it becomes active,
// exactly once, however the two race. The flags of others stay as they are.
func TestHeldOrActive(t *testing.T) {
	const times, holders = 2000, 3
	s := new(Session)
	other := Flag{1}
	other.Set(s)
	var holding [holders][times + 1]bool // by the time since which the client was inactive
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range holders {
		all.Go(func() {
			for {
				if since := s.SetHeld(); since != 0 {
					holding[i][since] = true
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	var reported [times + 1]bool
	for since := uint32(1); since <= times; since++ {
		s.SetInactive(since)
		s.SetInactive(since + 1) // it is already inactive
		if got := s.InactiveSince(); got != since {
			t.Errorf("inactive since %d, want %d", got, since)
		}
		was, held := s.SetActive()
		if was != since {
			t.Errorf("was inactive since %d, want %d", was, since)
		}
		reported[since] = held
	}
	close(done)
	all.Wait()
	for since := 1; since <= times; since++ {
		held := holding[0][since] || holding[1][since] || holding[2][since]
		if held != reported[since] {
			t.Fatalf("since %d: something is held: %v, reported: %v", since, held, reported[since])
		}
	}
	if was, held := s.SetActive(); was != 0 || held || s.Inactive() || !other.Has(s) {
		t.Errorf("at the end: inactive since %d, held %v, the other flag %v", was, held, other.Has(s))
	}
}

// TestInactiveSince: all numbers up to MaxSince are stored, beside all flags.
func TestInactiveSince(t *testing.T) {
	s := new(Session)
	s.parser.Extra.Store(1<<numFlags - 1)
	s.SetInactive(MaxSince)
	s.SetHeld()
	s.ReplaceSince(1, 2) // not that one
	if since := s.InactiveSince(); since != MaxSince {
		t.Errorf("inactive since %d, want %d", since, MaxSince)
	}
	s.ReplaceSince(MaxSince, 1)
	if since, held := s.SetActive(); since != 1 || !held {
		t.Errorf("was inactive since %d, held %v", since, held)
	}
	if x := s.parser.Extra.Load(); x != 1<<numFlags-1 {
		t.Errorf("the flags are %#x", x)
	}
}

// TestInactiveShown: people are shown that a client is inactive, beside what else its session
// is doing.
func TestInactiveShown(t *testing.T) {
	s := new(Session)
	f := func(want ...string) {
		t.Helper()
		if got := s.Conditions(); !slices.Equal(got, want) {
			t.Errorf("the conditions are %q, want %q", got, want)
		}
	}
	f()
	s.SetInactive(1)
	f("inactive")
	s.set(flagDetached)
	f("detached", "inactive")
	s.SetActive()
	f("detached")
}
