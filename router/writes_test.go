package router_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/xmpptest"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
	sqlitestore "roost/store/sqlite"
)

// TestLoginsWaitForNoWrite: while the store writes nothing, and more clients wait for
// writes than there are workers of any kind, a client logs in, gets its roster and its
// presence, and gets replies. A pending change of its own roster does not delay it either.
func TestLoginsWaitForNoWrite(t *testing.T) {
	for _, cache := range []int{0, 1} { // 1: rosters are read each time
		var cfg xmpptest.Config
		cfg.Session.Workers, cfg.Session.Writers, cfg.Session.MaxResources = 2, 3, 100
		cfg.Router.RosterCache = cache
		s, st := slowServer(t, cfg)
		var writers []*rawClient
		for i := range 12 {
			writers = append(writers, loginAs(t, s, "romeo", fmt.Sprint(i), plainHeader))
		}
		release := st.StopWrites()
		defer release()
		for i, c := range writers {
			switch i % 3 {
			case 0:
				c.write("<presence type='subscribe' to='juliet@localhost'/>")
			case 1:
				c.write("<message type='chat' to='mercutio@localhost' id='kept'><body>b</body></message>")
			case 2:
				c.write("<iq type='set' id='kept'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>")
			}
		}
		// Three have a worker; one of them waits for a roster that another is changing.
		xmpptest.Eventually(t, "all writers to wait", func() bool { return st.Active() == 2 && s.Sessions.Counts().Waiting == 9 })
		for _, user := range []string{"juliet", "nurse"} {
			c := loginRaw(t, s, user, plainHeader)
			c.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "<query xmlns='jabber:iq:roster'")
			c.say("<presence><status>here</status></presence>", "<status>here</status>")
			c.say("<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>", "id='ping'")
		}
		romeo := loginAs(t, s, "romeo", "late", plainHeader)
		romeo.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
		if n := st.Active(); n != 2 {
			t.Errorf("%d calls of the store are in progress, want the two writers'", n)
		}
		release()
		romeo.await("<item jid='a@example.com'") // pushed: it requested the roster before
		for _, c := range writers {
			c.sync()
		}
	}
}

// TestWritersShareCommits: everything that clients write while another process locks the
// database goes into a few transactions, even with few workers.
func TestWritersShareCommits(t *testing.T) {
	const n = 100
	var cfg xmpptest.Config
	cfg.Session.Workers, cfg.Session.MaxResources, cfg.Router.MaxOffline = 4, n, n
	s := xmpptest.NewServer(t, cfg)
	db := s.Store.(*sqlitestore.Store)
	var clients []*rawClient
	for i := range n {
		clients = append(clients, loginAs(t, s, "romeo", fmt.Sprint(i), plainHeader))
	}
	s.Router.FlushPending(t.Context()) // that the account is used is stored a moment later, once
	other, err := sqlite.OpenConn(s.Location.(store.Local).Path(), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	script := func(text string) {
		t.Helper()
		if err := sqlitex.ExecuteTransient(other, text, nil); err != nil {
			t.Fatal(err)
		}
	}
	script("BEGIN IMMEDIATE")
	before := db.BatchStats()
	for _, c := range clients {
		c.write("<message type='chat' to='mercutio@localhost'><body>b</body></message>")
	}
	xmpptest.Eventually(t, "all messages to wait for the database", func() bool { return db.Waiting() == n })
	script("COMMIT")
	for _, c := range clients {
		c.sync()
	}
	got := db.BatchStats()
	if commits := got.Commits - before.Commits; commits != 1 {
		t.Errorf("%d messages took %d transactions, want 1", n, commits)
	}
	if d := got.Writes.Since(before.Writes); d.Count() != 1 || d.Sum != n || got.Waiting != 0 {
		t.Errorf("%+v; want one transaction of %d writes", d, n)
	}
}

// TestWriteMemory: stanzas that wait for a store that does not write are refused once they
// use all the memory for such stanzas, and none is lost.
func TestWriteMemory(t *testing.T) {
	const n = 12
	var cfg xmpptest.Config
	cfg.Session.Workers, cfg.Session.Writers, cfg.Session.WriteMemory, cfg.Session.MaxResources = 2, 2, 256<<10, n
	s, st := slowServer(t, cfg)
	var clients []*rawClient
	for i := range n {
		clients = append(clients, loginAs(t, s, "romeo", fmt.Sprint(i), plainHeader))
	}
	text := "<message type='chat' to='mercutio@localhost' id='m'><body>" + strings.Repeat("b", 50<<10) + "</body></message>"
	for range 2 { // the memory is released
		release := st.StopWrites()
		defer release()
		refused := 0
		for i, c := range clients {
			c.got, c.used = "", 0
			c.write(text)
			if i < 3 {
				continue
			}
			// Refused clients continue at once; there is memory for at most five stanzas.
			if i >= 5 {
				c.await("<error type='wait'><resource-constraint ")
				c.sync()
				refused++
			}
		}
		release()
		kept := 0
		for _, c := range clients {
			c.sync()
			if !strings.Contains(c.got, "<resource-constraint ") {
				kept++
			}
		}
		if kept < 3 || kept+refused > n {
			t.Errorf("%d stored, %d refused", kept, refused)
		}
		mercutio := loginRaw(t, s, "mercutio", plainHeader)
		mercutio.write("<presence/>")
		for range kept {
			mercutio.await("<delay ")
		}
		mercutio.sync()
		if got := strings.Count(mercutio.got, "<delay "); got != kept {
			t.Errorf("received %d messages, want %d", got, kept)
		}
		mercutio.say("</stream:stream>", "</stream:stream>")
	}
}

// TestHooksRunOnce: a stanza that has to wait for the store, for reading, writing or both,
// passes each hook once. A hook that requests a worker is called again on the worker, but
// those before it are not.
func TestHooksRunOnce(t *testing.T) {
	calls := map[string][]string{} // by id
	count := func(name string, verdict func(*session.Turn) router.Verdict) router.Extension {
		return router.Extension{
			Name: name, Title: "test",
			Incoming: func(t *session.Turn, _ router.Sender, st *stanza.Stanza) router.Verdict {
				v := router.Pass
				if len(st.ID) > 0 {
					v = verdict(t)
					calls[string(st.ID)] = append(calls[string(st.ID)], fmt.Sprintf("%s%d", name, v))
				}
				return v
			},
		}
	}
	pass := func(*session.Turn) router.Verdict { return router.Pass }
	var cfg xmpptest.Config
	cfg.Router.RosterCache = 1
	cfg.Router.Extensions = []router.Extension{
		count("a", pass),
		count("b", func(t *session.Turn) router.Verdict {
			if !t.MayBlock() {
				return router.NeedsWorker
			}
			return router.Pass
		}),
		count("c", pass),
		count("d", func(t *session.Turn) router.Verdict {
			if !t.MayWrite() {
				return router.NeedsWriter
			}
			return router.Pass
		}),
		count("e", pass),
	}
	conflicts := 0
	f := func(desc, stanza, want string) {
		t.Helper()
		s, st := slowServer(t, cfg)
		var tries atomic.Int64
		st.SetFault(func(method string) error {
			if method == "ApplyRoster" && tries.Add(1) <= int64(conflicts) {
				return fmt.Errorf("injected: %w", store.ErrConflict)
			}
			return nil
		})
		romeo := loginRaw(t, s, "romeo", plainHeader)
		clear(calls)
		romeo.write(stanza)
		romeo.sync()
		if got := strings.Join(calls["x"], " "); got != want {
			t.Errorf("%s: the hooks were called %q, want %q", desc, got, want)
		}
		if n := tries.Load(); conflicts > 0 && n != int64(conflicts)+1 {
			t.Errorf("%s: %d changes of rosters were tried, want %d", desc, n, conflicts+1)
		}
	}
	const all = "a0 b2 b0 c0 d3 d0 e0"
	f("a message that is stored", "<message type='chat' to='mercutio@localhost' id='x'><body>b</body></message>", all)
	f("a roster set", "<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", all)
	f("a roster get", "<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>", all)
	f("a ping", "<iq type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq>", all)
	cfg.Router.Extensions = []router.Extension{count("a", pass), count("c", pass)}
	f("a message that is stored, past hooks that need no worker", "<message type='chat' to='mercutio@localhost' id='x'><body>b</body></message>", "a0 c0")
	f("a roster get, past hooks that need no worker", "<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>", "a0 c0")
	f("a subscription, past hooks that need no worker", "<presence type='subscribe' to='juliet@localhost' id='x'/>", "a0 c0")
	f("presence, past hooks that need no worker", "<presence id='x'/>", "a0 c0")
	conflicts = 3
	f("a roster set that is retried", "<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", "a0 c0")
	f("a subscription that is retried", "<presence type='subscribe' to='juliet@localhost' id='x'/>", "a0 c0")
}
