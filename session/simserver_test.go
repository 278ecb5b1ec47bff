package session_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
)

// simServer is a server for very many clients that never log in. Everything above the
// connections is real except for the store, which generates rosters: each account has
// contacts on either side of it, with a subscription in both directions. One goroutine
// drives it, in place of the loop.
type simServer struct {
	store.Store
	n, contacts int
	router      *router.Router
	sessions    *session.Manager
	posted      chan func(loop int)
	outbox      []byte // shared by all clients: each write replaces it
	written     int    // bytes
	stanzas     int
	longest     time.Duration // the longest CPU time that the tables took to add a session
	hook        func(to *simConn, p []byte)
	gate        func() // called before a roster is returned
	web         bool   // client 0 uses WebSocket
	records     bool   // client 0 sends each stanza in a record of TLS
}

func newSimServer(tb testing.TB, n, contacts int) *simServer {
	return newSimServerWith(tb, n, contacts, 0)
}

// newSimServerWith is newSimServer with a limit of the deliveries that one account may cause.
func newSimServerWith(tb testing.TB, n, contacts, fanoutRate int, change ...func(*router.Config)) *simServer {
	c := &simServer{n: n, contacts: contacts, posted: make(chan func(int), 4096)}
	cfg := router.Config{Store: c, RosterCache: 1 << 30}
	for _, f := range change {
		f(&cfg)
	}
	c.router = router.New(cfg)
	c.sessions = session.NewManager(session.Config{Domains: []string{"localhost"}, Accounts: c, Router: c.router,
		MaxResources: 100, FanoutRate: fanoutRate})
	c.router.Attach(c.sessions)
	if err := c.router.SkipAccountEvents(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.sessions.Close()
		c.router.Close()
	})
	return c
}

// LastAccountEvent is that of Manager.Adopt: nothing has happened to the accounts since.
func (c *simServer) LastAccountEvent(context.Context) (int64, error) { return 1 << 30, nil }

func member(i int) jid.JID { return jid.MustParse(fmt.Sprintf("user%07d@localhost", i)) }

// enter adds client number i.
func (c *simServer) enter(i int) *session.Session {
	return c.enterOn(&simConn{server: c, web: c.web && i == 0}, i)
}

// enterOn adds client number i on a connection.
func (c *simServer) enterOn(k session.Conn, i int) *session.Session {
	full, err := member(i).WithResource("phone")
	if err != nil {
		panic(err)
	}
	s, took := c.sessions.Adopt(k, full)
	c.longest = max(c.longest, took)
	return s
}

// say sends a stanza from a client and waits until it is handled.
func (c *simServer) say(s *session.Session, stanza []byte) {
	k := s.Conn().(interface{ sim() *simConn }).sim()
	for len(stanza) > 0 {
		if k.web {
			stanza = k.messages(s, stanza)
		} else {
			stanza = stanza[s.Data(0, stanza):]
		}
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
func (c *simServer) LoginState(ctx context.Context, owner jid.JID) (store.LoginState, error) {
	ro, err := c.Roster(ctx, owner)
	return store.LoginState{Roster: ro}, err
}

// Roster implements store.Rosters.
func (c *simServer) Roster(_ context.Context, owner jid.JID) (store.Roster, error) {
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
func (c *simServer) Offline(context.Context, jid.JID, int64, int) ([]store.OfflineMessage, bool, error) {
	return nil, false, nil
}

// SetLastActivity implements store.Activity.
func (c *simServer) SetLastActivity(context.Context, []store.LastActivity) error { return nil }

// NoteUse implements store.Activity.
func (c *simServer) NoteUse(context.Context, []store.AccountUse) error { return nil }

// simConn is a connection that accepts all output at once. A stanza costs it one copy, as
// on a socket.
type simConn struct {
	session.NoConn
	server *simServer
	paused bool
	web    bool // units of the stream are messages
}

func (k *simConn) Queue(p []byte) error {
	k.server.outbox = append(k.server.outbox[:0], p...)
	k.server.written += len(p)
	k.server.stanzas++
	if k.server.hook != nil {
		k.server.hook(k, p)
	}
	return nil
}

func (k *simConn) Messages() bool { return k.web }

func (k *simConn) QueueMessages(p []byte, _ []int, _ bool) error { return k.Queue(p) }

// messages passes each stanza of p as a message, until reading is paused, and returns the
// rest.
func (k *simConn) messages(s *session.Session, p []byte) (rest []byte) {
	for len(p) > 0 && !k.paused {
		end := bytes.IndexByte(p, '>') + 1
		at, ns := session.DeclareNamespace(p[:end])
		message := slices.Concat(p[:at], []byte(ns), p[at:end])
		switch n := s.Message(0, message, true); n {
		case 0:
			return p
		case len(message):
			p = p[end:]
		default:
			panic("a part of a message was used")
		}
	}
	return p
}

// records passes each stanza of p as a record of TLS, until reading is paused, and returns the
// rest.
func (k *simConn) records(s *session.Session, p []byte) (rest []byte) {
	for len(p) > 0 && !k.paused {
		end := bytes.IndexByte(p, '>') + 1
		switch n := s.Data(0, p[:end]); n {
		case 0:
			return p
		case end:
			p = p[end:]
		default:
			panic("a part of a record was used")
		}
	}
	return p
}

// sim returns k, of a connection that embeds it, too.
func (k *simConn) sim() *simConn { return k }

func (k *simConn) Pause()                { k.paused = true }
func (k *simConn) Resume()               { k.paused = false }
func (k *simConn) Post(f func(loop int)) { k.server.posted <- f }
