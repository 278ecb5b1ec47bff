package router_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// TestRouteThatPanics: whatever function of a route panics, the sender of the stanza
// gets an error, and its stream continues.
func TestRouteThatPanics(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.Extensions = []router.Extension{{Name: "broken", Title: "test", Routes: []router.Route{brokenRoute{}}}}
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	for kind, text := range map[string]string{
		"message":  "<message id='1' to='a@far.example'/>",
		"iq":       "<iq type='get' id='1' to='a@far.example'><x xmlns='u:u'/></iq>",
		"presence": "<presence id='1' to='a@far.example'/>",
	} {
		romeo.say(text, errorFrom(kind, "1", "a@far.example", "romeo@localhost/r", "wait", "internal-server-error"))
	}
	romeo.sync()
	if n := s.Sessions.Panics(); n != 3 {
		t.Errorf("%d panics, want 3", n)
	}
}

// brokenRoute is a route whose Serves panics, too.
type brokenRoute struct{}

func (brokenRoute) Serves(string) bool { panic("broken") }
func (brokenRoute) Send(*session.Turn, jid.JID, jid.JID, []byte) *stanza.ErrorReply {
	return nil
}

// firstTurn is a route that counts the stanzas that it gets, and those before work was
// left to a later turn.
type firstTurn struct {
	s          *xmpptest.Server
	all, first atomic.Int32
	over       atomic.Bool
}

func (c *firstTurn) Serves(domain string) bool { return domain == "far.example" }

func (c *firstTurn) Send(*session.Turn, jid.JID, jid.JID, []byte) *stanza.ErrorReply {
	if c.s.Sessions.Counts().Waiting > 0 {
		c.over.Store(true)
	}
	if !c.over.Load() {
		c.first.Add(1)
	}
	c.all.Add(1)
	return nil
}

// TestRouteTurns: presence for remote contacts counts like presence for local ones. Bug:
// the presence of a client with thousands of remote contacts was sent in a single turn,
// and was not charged to its account.
func TestRouteTurns(t *testing.T) {
	c := new(firstTurn)
	var cfg xmpptest.Config
	cfg.Router.Extensions = []router.Extension{{Name: "far", Title: "test", Routes: []router.Route{c}}}
	c.s = xmpptest.NewServer(t, cfg)
	owner := jid.MustParse("romeo@localhost")
	const contacts = 200
	for i := range contacts {
		ro, err := c.s.Store.Roster(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.s.Store.ApplyRoster(t.Context(), []store.RosterUpdate{{
			Owner: owner, Expect: ro.Version,
			Put: &store.RosterItem{JID: jid.MustParse(fmt.Sprintf("a%d@far.example", i)), Subscription: store.From},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	romeo := loginRaw(t, c.s, "romeo", plainHeader)
	romeo.say("<presence/>", "<presence ")
	if n := c.all.Load(); n != contacts {
		t.Errorf("%d contacts were notified, want %d", n, contacts)
	}
	if n := c.first.Load(); n > 64 {
		t.Errorf("%d contacts were notified in one turn, want at most 64", n)
	}
}
