package router

import (
	"maps"
	"slices"
	"sync"

	"roost/session"
)

// directedTo has the addresses that each resource has sent directed presence to (RFC 6121
// section 4.6, https://www.rfc-editor.org/rfc/rfc6121#section-4.6).
var directedTo = session.NewSlot[addresses]()

// addresses is a set of JIDs as text.
type addresses struct {
	mu  sync.Mutex
	all map[string]struct{}
}

// sentTo reports whether a resource has sent directed presence to an address and has not
// since sent it unavailable presence.
func sentTo(s *session.Session, to string) bool {
	a := directedTo.Get(s)
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.all[to]
	return ok
}

// addDirected adds an address, or returns false if there are too many.
func (r *Router) addDirected(s *session.Session, to string) bool {
	a := directedTo.Make(s)
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.all[to]; !known && len(a.all) >= r.config().MaxDirected {
		return false
	}
	if a.all == nil {
		a.all = make(map[string]struct{})
		r.directing.Add(1)
	}
	a.all[to] = struct{}{}
	return true
}

// removeDirected removes an address.
func removeDirected(s *session.Session, to string) {
	if a := directedTo.Get(s); a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.all, to)
	}
}

// directed returns the addresses.
func directed(s *session.Session) []string {
	a := directedTo.Get(s)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.all))
}

// takeDirected removes all addresses and returns them.
func (r *Router) takeDirected(s *session.Session) []string {
	a := directedTo.Get(s)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all != nil {
		r.directing.Add(-1)
	}
	all := slices.Collect(maps.Keys(a.all))
	a.all = nil
	directedTo.Drop(s)
	return all
}

// eachDirecting calls f for every resource that has sent directed presence.
func (r *Router) eachDirecting(f func(*session.Session)) {
	if r.directing.Load() == 0 {
		return
	}
	r.sessions.Each(func(s *session.Session) bool {
		if len(directed(s)) > 0 {
			f(s)
		}
		return true
	})
}
