package router_test

import (
	"slices"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
	"roost/session"
)

// TestRecipients: the resources of an account by state: connected, available with any
// priority, available with a non-negative priority, interested.
func TestRecipients(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	const roster = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"
	for resource, says := range map[string]string{
		"connected": "", "negative": "<presence><priority>-5</priority></presence>", "available": "<presence/>",
		"interested": roster, "both": roster + "<presence/>", "unavailable": "<presence/><presence type='unavailable'/>",
	} {
		c := loginAs(t, s, "romeo", resource, plainHeader)
		c.write(says)
		c.sync()
	}
	f := func(name string, which func(*session.Session) bool, want ...string) {
		t.Helper()
		var got []string
		for x := range s.Router.Recipients("romeo@localhost", which) {
			got = append(got, x.Resource())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if got := s.Router.HasRecipients("juliet@localhost", which); got {
			t.Errorf("%s: juliet has recipients", name)
		}
	}
	f("connected", router.Connected, "available", "both", "connected", "interested", "negative", "unavailable")
	f("available", router.Available, "available", "both", "negative")
	f("non-negative", router.NonNegative, "available", "both")
	f("interested", router.Interested, "both", "interested")
}
