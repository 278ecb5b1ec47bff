package session

import (
	"fmt"
	"strings"
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

// TestResumeUnwanted: stanzas that must not be sent any more are left out when the client resumes
// its session, and are not counted.
func TestResumeUnwanted(t *testing.T) {
	for desc, test := range map[string]struct{ unwanted, want string }{
		"none":  {"", "0123"},
		"first": {"01", "23"},
		"some":  {"12", "03"},
		"last":  {"3", "012"},
		"all":   {"0123", ""},
	} {
		t.Run(desc, func(t *testing.T) {
			m, s, p, r, id := newResumable(t, Config{}, "resume='true'")
			p.lose(m, s)
			for i := range 4 {
				s.SendBytes(m.turns[0], fmt.Appendf(nil, "<iq id='%d'/>", i))
			}
			r.unwanted = func(b []byte) bool { return strings.Contains(test.unwanted, string(b[len("<iq id='"):][:1])) }
			want := fmt.Sprintf(resumedElement, id)
			for _, c := range test.want {
				want += fmt.Sprintf("<iq id='%c'/>", c)
			}
			if test.want != "" {
				want += requestElement
			}
			if got, failed := p.resume(m, id, 0); got != want {
				t.Errorf("received %q, %q, want %q", got, failed, want)
			}
			s.Data(0, fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", len(test.want)))
			m.EndTurn(0)
			if x := s.cold.Load(); x.queue() != nil || m.unackedBytes.Load() != 0 || s.has(flagClosing) {
				t.Errorf("%d bytes are unacknowledged; the session has ended: %v", m.unackedBytes.Load(), s.has(flagClosing))
			}
		})
	}
}
