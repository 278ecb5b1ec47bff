package session

import (
	"strings"
	"testing"

	"roost/parser"
)

// TestResumeInlineEnding: a client requests a session that is ending, and a resource, together
// with its login. The session is asked on its loop; then the login continues on a worker, and
// has the client's session until that is done.
func TestResumeInlineEnding(t *testing.T) {
	m, s, p, r, id := newResumable(t, Config{}, "resume='true'")
	m.AddFeatures(Feature{
		Space: "urn:test:login", // as after the exchange of SASL2
		Element: func(t *Turn, s *Session, el parser.Element, _ []byte) bool {
			l, ok := s.readLogin(t, el)
			s.finishLogin(t, l)
			return ok
		},
	})
	s.cold.Load().handled = 7
	p.lose(m, s)
	s.set(flagClosing) // it is being handed on
	next, pipe := newAuthenticated(m)
	next.Data(0, []byte("<authenticate xmlns='urn:test:login'><bind xmlns='urn:xmpp:bind:0'/><resume xmlns='urn:xmpp:sm:3' previd='"+id+"' h='0'/></authenticate>"))
	m.EndTurn(0)
	for len(pipe.posted)+len(p.posted) > 0 && !next.has(flagBound) && pipe.take() == "" {
		for _, q := range []*plugPipe{pipe, p} {
			if len(q.posted) > 0 {
				(<-q.posted)(0)
				m.EndTurn(0)
			}
		}
		if !next.has(flagBusy) {
			t.Fatal("the client's input is read before the login has finished")
		}
		if pipe.socket != nil && len(pipe.posted) == 0 && len(p.posted) == 0 {
			break // a worker has it
		}
	}
	(<-pipe.posted)(0) // the worker has finished
	pipe.runPosted(m)
	got := pipe.take()
	if !strings.Contains(got, "<failed xmlns='urn:xmpp:sm:3' h='7'><item-not-found ") || !strings.Contains(got, "<bound ") || next.has(flagBusy) {
		t.Errorf("received %q, busy %v", got, next.has(flagBusy))
	}
	s.unset(flagClosing)
	s.Close(nil)
	next.Close(nil)
	p.runPosted(m)
	pipe.runPosted(m)
	<-r.left
}
