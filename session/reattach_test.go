package session

import (
	"fmt"
	"testing"

	"roost/jid"
)

// TestResumeNewer: a resumed session has the account event of the client that has resumed it. An
// earlier change of the password, which ends all sessions with the earlier one, does not end it.
func TestResumeNewer(t *testing.T) {
	m, s, p, _, id := newResumable(t, Config{}, "resume='true'")
	p.lose(m, s)
	from, next := newAuthenticated(m)
	from.SetEvent(7)
	from.Data(0, fmt.Appendf(nil, "<resume xmlns='urn:xmpp:sm:3' previd='%s' h='0'/>", id))
	m.EndTurn(0)
	for len(next.posted)+len(p.posted) > 0 {
		next.runPosted(m)
		p.runPosted(m)
	}
	for event, ends := range map[int64]bool{7: false, 8: true} {
		if s.AuthenticatedBefore(event) != ends {
			t.Errorf("a session that was resumed after event 7 ends because of event %d: %v, want %v", event, !ends, ends)
		}
	}
	m.Revoke(map[string]Revocation{jid.MustParse("romeo@localhost").String(): {Bound: 7, Unbound: 7, Error: ErrReset}})
	p.runPosted(m)
	if s.Ending() {
		t.Error("the session has ended")
	}
}

// TestResumeAfterBacklog: what was true of the earlier connection does not matter for the next
// one: that reading was paused until the client has read, and that the session was about to end
// because its client did not.
func TestResumeAfterBacklog(t *testing.T) {
	m, s, p, _, id := newResumable(t, Config{}, "resume='true'")
	s.set(flagBacklog)
	p.lose(m, s)
	s.set(flagSlow) // another goroutine has; its post comes later
	if got, _ := p.resume(m, id, 0); got != fmt.Sprintf(resumedElement, id) {
		t.Fatalf("received %q", got)
	}
	s.overflowed(m.turns[0])
	p.runPosted(m)
	if s.Ending() || s.has(flagBacklog) {
		t.Errorf("ending: %v; reading waits for the earlier connection: %v", s.Ending(), s.has(flagBacklog))
	}
}
