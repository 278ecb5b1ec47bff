package router_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// calls records calls of extensions' functions.
type calls struct {
	mu  sync.Mutex
	all []string
}

func (c *calls) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, fmt.Sprintf(format, args...))
}

// take returns what was recorded, and clears it.
func (c *calls) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.all, " ")
	c.all = nil
	return all
}

// TestMessageStagesOnce: a message is delivered once, and each extension is called for it
// once and on the worker that it requests, whoever received the message.
func TestMessageStagesOnce(t *testing.T) {
	var c calls
	ext := func(name string, need func(*session.Turn) session.Work) router.Extension {
		return router.Extension{
			Name: name, Title: "test",
			Incoming: func(_ *session.Turn, _ router.Sender, st *stanza.Stanza) router.Verdict {
				if st.Kind == stanza.Message {
					c.add("%s-in", name)
				}
				return router.Pass
			},
			Delivered: func(t *session.Turn, from router.Sender, to jid.JID, _ *stanza.Stanza, taken router.Taken) session.Work {
				work := need(t)
				if from.JID().String() != "romeo@localhost/r" || to.String() != "juliet@localhost" {
					c.add("from %s to %s", from.JID(), to)
				}
				c.add("%s-%d-%d", name, taken, work)
				return work
			},
		}
	}
	var cfg xmpptest.Config
	cfg.Router.Extensions = []router.Extension{
		ext("a", func(*session.Turn) session.Work { return session.Done }),
		ext("b", func(t *session.Turn) session.Work {
			if t.MayBlock() {
				return session.Done
			}
			return session.Read
		}),
		ext("c", func(*session.Turn) session.Work { return session.Done }),
	}
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	f := func(desc, message, want string) {
		t.Helper()
		romeo.write(message)
		romeo.sync()
		if got := c.take(); got != want {
			t.Errorf("%s: the calls are %q, want %q", desc, got, want)
		}
	}
	const (
		in       = "a-in b-in c-in"
		byOne    = in + " a-1-0 b-1-1 b-1-0 c-1-0"
		byAll    = in + " a-2-0 b-2-1 b-2-0 c-2-0"
		headline = in + " a-0-0 b-0-1 b-0-0 c-0-0"
		kept     = in + " a-0-0 b-0-0 c-0-0" // on the worker of the offline messages, which are first
	)
	f("kept", "<message to='juliet@localhost' id='kept'><body>b</body></message>", kept)
	f("dropped", "<message to='juliet@localhost' type='headline'/>", headline)
	f("refused", "<message to='juliet@localhost' type='groupchat'/>", in)
	f("for the server", "<message to='localhost'/>", in)
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "id='kept'")
	f("to all", "<message to='juliet@localhost' id='all'/>", byAll)
	f("to one", "<message to='juliet@localhost/r' id='one'/>", byOne)
	f("to none", "<message to='juliet@localhost/other' type='normal' id='none'/>", in)
	juliet.sync()
	for _, id := range []string{"kept", "all", "one"} {
		if n := strings.Count(juliet.got, "id='"+id+"'"); n != 1 {
			t.Errorf("juliet got %d messages %q, want 1", n, id)
		}
	}
}

// TestStagesOfResource: each state change of a resource, and the end of its account, calls
// the extensions once.
func TestStagesOfResource(t *testing.T) {
	var c calls
	var cfg xmpptest.Config
	cfg.Router.Extensions = []router.Extension{{
		Name: "steps", Title: "test",
		Bound: func(_ *session.Turn, s *session.Session, known router.Known) {
			c.add("bound %s %v", s.FullJID(), known)
		},
		Available: func(_ *session.Turn, s *session.Session, a router.Availability) session.Work {
			c.add("available %s %v %v", s.FullJID(), a.Initial, a.NonNegative)
			return session.Done
		},
		Left:    func(_ *session.Turn, s *session.Session) { c.add("left %s", s.FullJID()) },
		Removed: func(account jid.JID) { c.add("removed %s", account) },
	}, {
		Name: "brittle", Title: "test",
		Bound:     func(*session.Turn, *session.Session, router.Known) { panic("bound") },
		Available: func(*session.Turn, *session.Session, router.Availability) session.Work { panic("available") },
		Removed:   func(jid.JID) { panic("removed") },
	}, {
		Name: "next", Title: "test",
		Bound: func(*session.Turn, *session.Session, router.Known) { c.add("all") },
		Available: func(t *session.Turn, _ *session.Session, _ router.Availability) session.Work {
			switch {
			case !t.MayBlock():
				return session.Read
			case !t.MayWrite():
				return session.Write
			}
			c.add("all")
			return session.Done
		},
		Removed: func(jid.JID) { c.add("all") },
	}}
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	f := func(desc, want string) {
		t.Helper()
		if got := c.take(); got != want {
			t.Errorf("%s: the calls are %q, want %q", desc, got, want)
		}
	}
	f("login", "bound romeo@localhost/r {true false} all")
	for _, step := range []struct{ presence, want string }{
		{"<presence/>", "available romeo@localhost/r true true all"},
		{"<presence><show>away</show></presence>", ""},
		{"<presence><priority>-1</priority></presence>", ""},
		{"<presence/>", "available romeo@localhost/r false true all"},
		{"<presence type='unavailable'/>", ""},
		{"<presence><priority>-1</priority></presence>", "available romeo@localhost/r true false all"},
	} {
		romeo.write(step.presence)
		romeo.sync()
		f(step.presence, step.want)
	}
	if err := s.Store.DeleteAccount(context.Background(), jid.MustParse("romeo@localhost"), store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	s.Sessions.Go(session.Write, func(t *session.Turn) { done <- s.Router.CatchUpAll(t) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	romeo.await("</stream:stream>")
	got := strings.Split(c.take(), " ")
	slices.Sort(got) // their order is unspecified
	if want := "all left removed romeo@localhost romeo@localhost/r"; strings.Join(got, " ") != want {
		t.Errorf("the end of an account: the calls are %q, want %q", got, want)
	}
}

// TestAvailableAsksAgain: an extension that requests a worker that it is already on is not
// called forever; the next one is called, and the client is served.
func TestAvailableAsksAgain(t *testing.T) {
	for _, work := range []session.Work{session.Read, session.Write, session.Derive} {
		var c calls
		var cfg xmpptest.Config
		cfg.Logger = slog.New(slog.DiscardHandler)
		cfg.Router.Extensions = []router.Extension{{
			Name: "greedy", Title: "test",
			Available: func(t *session.Turn, _ *session.Session, _ router.Availability) session.Work {
				if c.add("greedy"); len(c.all) > 10 {
					return session.Done // so that the test ends
				}
				return work
			},
		}, {
			Name: "next", Title: "test",
			Available: func(*session.Turn, *session.Session, router.Availability) session.Work {
				c.add("next")
				return session.Done
			},
		}}
		s := xmpptest.NewServer(t, cfg)
		romeo := loginRaw(t, s, "romeo", plainHeader)
		romeo.say("<presence/>", "<presence ")
		romeo.sync()
		if got := c.take(); got != "greedy greedy next" {
			t.Errorf("work %d: the calls are %q", work, got)
		}
		if n := s.Sessions.Panics(); n != 1 {
			t.Errorf("work %d: %d panics, want 1", work, n)
		}
	}
}
