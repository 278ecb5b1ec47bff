package router

import "roost/session"

// DirectedPresence returns the number of addresses to which a session has sent directed
// presence that it has not taken back. Any goroutine may call it.
func DirectedPresence(s *session.Session) int {
	a := directedTo.Get(s)
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all)
}
