package session_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
)

// crowd is a server of clients that are there without ever having logged in: as
// many as memory has room for. Everything above the connections is real but the
// store, which makes rosters up: each account has contacts on either side of it,
// with a subscription in both directions. It is driven by one goroutine, which
// stands for the loop.
type crowd struct {
	store.Store
	n, contacts int
	router      *router.Router
	sessions    *session.Manager
	posted      chan func(loop int)
	outbox      []byte // of everybody: it is emptied at the end of every turn
	written     int    // bytes
	stanzas     int
	longest     time.Duration // that the tables took for one session
	hook        func(to *link, p []byte)
	gate        func() // called before a roster is returned
}

func newCrowd(tb testing.TB, n, contacts int) *crowd { return newCrowdWith(tb, n, contacts, 0) }

// newCrowdWith is newCrowd with a limit of what one client may cause.
func newCrowdWith(tb testing.TB, n, contacts, fanoutRate int, change ...func(*router.Config)) *crowd {
	c := &crowd{n: n, contacts: contacts, posted: make(chan func(int), 4096)}
	cfg := router.Config{Domains: []string{"localhost"}, Store: c, RosterCache: 1 << 30}
	for _, f := range change {
		f(&cfg)
	}
	c.router = router.New(cfg)
	c.sessions = session.NewManager(session.Config{Domains: []string{"localhost"}, Accounts: c, Router: c.router,
		MaxResources: 100, FanoutRate: fanoutRate})
	c.router.Attach(c.sessions)
	tb.Cleanup(func() {
		c.sessions.Close()
		c.router.Close()
	})
	return c
}

func member(i int) jid.JID { return jid.MustParse(fmt.Sprintf("user%07d@localhost", i)) }

// enter adds the client with the number i.
func (c *crowd) enter(i int) *session.Session {
	full, err := member(i).WithResource("phone")
	if err != nil {
		panic(err)
	}
	s, took := c.sessions.Adopt(&link{crowd: c}, full)
	c.longest = max(c.longest, took)
	return s
}

// say has a client send a stanza, and waits until it was handled.
func (c *crowd) say(s *session.Session, stanza []byte) {
	k := s.Conn().(*link)
	for len(stanza) > 0 {
		stanza = stanza[s.Data(0, stanza):]
		for k.paused {
			(<-c.posted)(0)
		}
	}
	c.sessions.EndTurn(0)
	for len(c.posted) > 0 {
		(<-c.posted)(0)
	}
}

// LoginState implements store.Store.
func (c *crowd) LoginState(ctx context.Context, owner jid.JID) (store.LoginState, error) {
	ro, err := c.Roster(ctx, owner)
	return store.LoginState{Roster: ro}, err
}

// Roster implements store.Rosters.
func (c *crowd) Roster(_ context.Context, owner jid.JID) (store.Roster, error) {
	if c.gate != nil {
		c.gate()
	}
	var i int
	if _, err := fmt.Sscanf(owner.Local(), "user%d", &i); err != nil {
		return store.Roster{}, err
	}
	ro := store.Roster{Version: 1}
	for k := 1; k <= c.contacts; k++ {
		at := i + (k+1)/2
		if k%2 == 0 {
			at = i - k/2
		}
		ro.Items = append(ro.Items, store.RosterItem{JID: member((at + c.n) % c.n), Subscription: store.Both, Version: 1})
	}
	return ro, nil
}

// Offline implements store.Messages.
func (c *crowd) Offline(context.Context, jid.JID, int64, int) ([]store.OfflineMessage, bool, error) {
	return nil, false, nil
}

// SetLast implements store.Activity.
func (c *crowd) SetLast(context.Context, []store.LastActivity) error { return nil }

// link is a connection that takes everything at once. What a stanza costs it is
// one copy, as on a socket.
type link struct {
	session.NoConn
	crowd  *crowd
	paused bool
}

func (k *link) Queue(p []byte) error {
	k.crowd.outbox = append(k.crowd.outbox[:0], p...)
	k.crowd.written += len(p)
	k.crowd.stanzas++
	if k.crowd.hook != nil {
		k.crowd.hook(k, p)
	}
	return nil
}

func (k *link) Pause()                { k.paused = true }
func (k *link) Resume()               { k.paused = false }
func (k *link) Post(f func(loop int)) { k.crowd.posted <- f }
