package router_test

import (
	"fmt"
	"testing"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
)

// TestLastActivityBatched: clients that connect and disconnect do not cause a write each.
// Their last activity is known at once, and is in the store when the server has stopped.
func TestLastActivityBatched(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	began := time.Now().Add(-time.Second)
	for range 20 {
		for _, user := range []string{"romeo", "juliet"} {
			c := loginRaw(t, s, user, plainHeader)
			c.say("<presence/>", "<presence")
			c.say(fmt.Sprintf("<presence type='unavailable'><status>%s</status></presence></stream:stream>", user), "</stream:stream>")
		}
	}
	for _, user := range []string{"romeo", "juliet"} {
		last, err := s.Router.LastActivity(jid.MustParse(user + "@localhost"))
		if err != nil || last.At.Before(began) || string(last.Status) != user {
			t.Errorf("%s: %v %q, %v", user, last.At, last.Status, err)
		}
	}
	if n := st.Calls("SetLastActivity"); n > 10 {
		t.Errorf("%d writes for 40 clients", n)
	}
	s.Router.FlushPending(t.Context())
	for _, user := range []string{"romeo", "juliet"} {
		last, err := s.Store.LastActivity(t.Context(), jid.MustParse(user+"@localhost"))
		if err != nil || last.At.Before(began.Truncate(time.Second)) || string(last.Status) != user {
			t.Errorf("in the store, %s: %v %q, %v", user, last.At, last.Status, err)
		}
	}
	// Nothing of a deleted account is left for the next one of that name.
	c := loginRaw(t, s, "romeo", plainHeader)
	c.say("<presence/>", "<presence")
	before := st.Calls("SetLastActivity")
	c.say("<presence type='unavailable'/></stream:stream>", "</stream:stream>")
	if err := s.Store.DeleteAccount(t.Context(), jid.MustParse("romeo@localhost"), store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	caughtUp := make(chan error)
	s.Sessions.Go(session.Write, func(t *session.Turn) { caughtUp <- s.Router.CatchUpAll(t) })
	if err := <-caughtUp; err != nil {
		t.Fatal(err)
	}
	s.Router.FlushPending(t.Context())
	if n := st.Calls("SetLastActivity") - before; n != 0 {
		t.Errorf("%d writes for a deleted account", n)
	}
}
