package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/sessiondata"
	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
	"roost/store/faultstore"
)

// detachedInTurn has romeo's sessions r0 to r(n-1) lose their connections, one a second in this
// order, after each was sent a message that its client has not acknowledged if message says
// so. It must be called in a synctest bubble.
func detachedInTurn(t *testing.T, s *xmpptest.Server, n int, message func(i int) bool) {
	t.Helper()
	juliet := newSASLClient(t, s)
	juliet.login("juliet")
	for i := range n {
		c, _ := openResumable(t, s, "romeo", fmt.Sprintf("r%d", i))
		if message(i) {
			juliet.write(fmt.Sprintf("<message to='romeo@localhost/r%d' type='chat'><body>%d</body></message>", i, i))
			c.ask("", fmt.Sprintf("<body>%d</body></message>", i))
		}
		_ = c.conn.Close()
		xmpptest.Eventually(t, "the connection to be lost", func() bool { return s.Sessions.Stats().Acks.Waiting == int64(i+1) })
		<-time.After(time.Second)
	}
	juliet.ask("</stream:stream>", "</stream:stream>")
}

// resourcesOf returns the resources of the sessions in a block.
func resourcesOf(t *testing.T, block []byte) (all []string) {
	t.Helper()
	for u := range sessiondata.Units(block) {
		if k, _ := sessiondata.KindOf(u); k != sessiondata.SessionKind {
			continue
		}
		d, err := sessiondata.ParseSession(u)
		if err != nil {
			t.Error(err)
		}
		all = append(all, jid.MustParse(string(d.Address)).Resource())
	}
	return all
}

// TestSuspendOrder: sessions with stanzas that were not acknowledged are written first, then
// those that have lost their connections last.
func TestSuspendOrder(t *testing.T) { synctest.Test(t, testSuspendOrder) }

func testSuspendOrder(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	detachedInTurn(t, s, 5, func(i int) bool { return i < 2 })
	var got []string
	done, err := s.Sessions.Suspend(t.Context(), t.Context(), session.Keep{Limit: 1 << 20, Event: s.Router.LastEvent, Write: func(_ context.Context, units []session.SavedUnit) error {
		got = append(got, resourcesOf(t, units[0].Data)...)
		return nil
	}})
	if want := []string{"r1", "r0", "r4", "r3", "r2"}; !slices.Equal(got, want) || err != nil || done.Sessions != 5 || done.Ended+done.Left != 0 {
		t.Errorf("%q, want %q; %+v, %v", got, want, done, err)
	}
}

// TestSuspendBefore: Keep.Before gets the sessions in the order in which they are written, some at
// once, and each takes stanzas until it has returned. After an error it is not called again.
func TestSuspendBefore(t *testing.T) {
	for _, err := range []error{nil, errors.New("no connection")} {
		t.Run(fmt.Sprintf("error: %v", err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSuspendBefore(t, err) })
		})
	}
}

func testSuspendBefore(t *testing.T, failure error) {
	session.SetSuspendBlock(t, 1) // one session
	session.SetBeforeBatch(t, 2)
	s := xmpptest.NewServer(t, xmpptest.Config{})
	detachedInTurn(t, s, 3, func(int) bool { return false })
	var before []string
	late := 0
	done, err := s.Sessions.Suspend(t.Context(), t.Context(), session.Keep{Limit: 1 << 20, Event: s.Router.LastEvent,
		Before: func(_ context.Context, all []*session.Session) error {
			turn := s.Sessions.NewTurn()
			defer turn.End()
			names := ""
			for _, x := range all {
				names += x.Resource()
				x.SendBytes(turn, []byte("<message to='"+x.FullJID()+"'><body>late</body></message>"))
			}
			before = append(before, names)
			return failure
		},
		Write: func(_ context.Context, units []session.SavedUnit) error {
			late += strings.Count(string(units[0].Data), "<body>late<")
			return nil
		}})
	want, wantLate := []string{"r2r1", "r0"}, 3
	if failure != nil {
		want, wantLate = want[:1], 2
	}
	if !slices.Equal(before, want) || late != wantLate || done.Sessions != 3 || err != nil {
		t.Errorf("%q, want %q; %d stanzas were written, want %d; %+v, %v", before, want, late, wantLate, done, err)
	}
}

// TestSuspendSlow: when the time for the clients is over, writing goes on for Keep.Time. The
// sessions that were not written then end, and their messages are stored.
func TestSuspendSlow(t *testing.T) { synctest.Test(t, testSuspendSlow) }

func testSuspendSlow(t *testing.T) {
	session.SetSuspendBlock(t, 1) // one session
	s := xmpptest.NewServer(t, xmpptest.Config{})
	detachedInTurn(t, s, 4, func(int) bool { return true })
	clients, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	done, err := s.Sessions.Suspend(t.Context(), clients, session.Keep{Limit: 1 << 20, Time: 90 * time.Second, Event: s.Router.LastEvent, Write: func(ctx context.Context, units []session.SavedUnit) error {
		if err := ctx.Err(); err != nil { // as a store
			return err
		}
		<-time.After(time.Minute)
		got = append(got, resourcesOf(t, units[0].Data)...)
		return nil
	}})
	if want := []string{"r3", "r2"}; !slices.Equal(got, want) || done.Sessions != 2 || done.Ended != 2 || done.Left != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%q, want %q; %+v, %v", got, want, done, err)
	}
	bodies := stored(t, s.Store)
	if slices.Sort(bodies); !slices.Equal(bodies, []string{"0", "1"}) {
		t.Errorf("stored: %q", bodies)
	}
}

// TestSuspendStuck: if a worker still has a session when the time for the clients is over, the
// others are written, and that one is waited for during Keep.Time; its messages are stored. This
// is so whether its connection is lost or not.
func TestSuspendStuck(t *testing.T) {
	for desc, lost := range map[string]bool{"connected": false, "lost": true} {
		t.Run(desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSuspendStuck(t, lost) })
		})
	}
}

func testSuspendStuck(t *testing.T, lost bool) {
	var faults faultstore.Faults
	s := xmpptest.NewServer(t, xmpptest.Config{Store: faults.Options()})
	detachedInTurn(t, s, 1, func(int) bool { return true })
	c, _ := openResumable(t, s, "mercutio", "busy")
	juliet := newSASLClient(t, s)
	juliet.login("juliet")
	juliet.write("<message to='mercutio@localhost/busy' type='chat'><body>busy</body></message>")
	c.ask("", "<body>busy</body></message>")
	release := faults.StopWrites()
	defer release()
	before := faults.Calls("ApplyRoster")
	c.write("<iq type='set' id='set'><query xmlns='jabber:iq:roster'><item jid='paris@localhost'/></query></iq>")
	xmpptest.Eventually(t, "a worker to write the roster", func() bool { return faults.Calls("ApplyRoster") > before })
	if lost {
		_ = c.conn.Close()
		xmpptest.Eventually(t, "the connection to be lost", func() bool { return s.Sessions.Stats().Acks.Waiting == 2 })
	}
	clients, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	time.AfterFunc(time.Minute, release)
	var got []string
	done, err := s.Sessions.Suspend(t.Context(), clients, session.Keep{Limit: 1 << 20, Time: 2 * time.Minute, Event: s.Router.LastEvent, Write: func(_ context.Context, units []session.SavedUnit) error {
		got = append(got, resourcesOf(t, units[0].Data)...)
		return nil
	}})
	if !slices.Equal(got, []string{"r0"}) || done.Sessions != 1 || done.Ended != 1 || done.Left != 0 || err != nil {
		t.Errorf("%q; %+v, %v", got, done, err)
	}
	if n, err := s.Store.CountOffline(t.Context(), jid.MustParse("mercutio@localhost")); n != 1 || err != nil {
		t.Errorf("%d messages are stored, %v", n, err)
	}
}

// twoLost returns the resumption ids of romeo's sessions a and b, which have lost their
// connections, in this order. A message that is in the store was sent to a, and one that is not
// to b.
func twoLost(t *testing.T, s *xmpptest.Server) (ids [2]string) {
	t.Helper()
	juliet := newSASLClient(t, s)
	juliet.login("juliet")
	send := func(to, body string) {
		juliet.write("<message to='" + to + "' type='chat'><body>" + body + "</body></message>")
		juliet.ask("<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='ping'")
	}
	send("romeo@localhost", "stored")
	a, id := openResumable(t, s, "romeo", "a")
	ids[0] = id
	a.ask("<presence/>", "<body>stored</body>")
	b, id := openResumable(t, s, "romeo", "b")
	ids[1] = id
	send("romeo@localhost/b", "live")
	b.ask("", "<body>live</body>")
	for i, c := range []*saslClient{a, b} {
		_ = c.conn.Close()
		xmpptest.Eventually(t, "the connection to be lost", func() bool { return s.Sessions.Stats().Acks.Waiting == int64(i+1) })
		<-time.After(time.Second)
	}
	juliet.ask("</stream:stream>", "</stream:stream>")
	return ids
}

// TestSuspendKilled: the server is killed when some of the sessions are written. The next one
// starts with those. Of the others, what was in the store is still there, and waits for their
// clients.
func TestSuspendKilled(t *testing.T) { synctest.Test(t, testSuspendKilled) }

func testSuspendKilled(t *testing.T) {
	session.SetSuspendBlock(t, 1) // one session
	l := teststores.SQLite.New(t)
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	ids := twoLost(t, s)
	killed, checked := make(chan struct{}), make(chan struct{})
	writes := 0
	write := func(ctx context.Context, units []session.SavedUnit) error {
		if writes++; writes == 1 {
			return s.Store.PutSessions(ctx, []store.SavedSession{{Data: units[0].Data}})
		}
		close(killed)
		<-checked
		return context.Canceled
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		done, err := s.Sessions.Suspend(t.Context(), t.Context(), session.Keep{Limit: 1 << 20, Event: s.Router.LastEvent, Write: write})
		if done.Sessions != 1 || done.Ended != 1 || err == nil {
			t.Errorf("%+v, %v", done, err)
		}
	})
	defer ended.Wait()
	defer close(checked)
	<-killed
	next := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if next.Restored.Sessions != 1 || next.Restored.Over+next.Restored.Damaged != 0 {
		t.Fatalf("%+v", next.Restored)
	}
	if got := resume(t, next, ids[1], "</message>"); !strings.Contains(got, "<resumed ") || !strings.Contains(got, "<body>live</body>") {
		t.Errorf("the session that was written: %s", got)
	}
	if got := resume(t, next, ids[0], "</failed>"); !strings.Contains(got, "<item-not-found") {
		t.Errorf("the session that was not written: %s", got)
	}
	c, _ := openResumable(t, next, "romeo", "a")
	c.ask("<presence/>", "<body>stored</body>")
}

// TestRestoreKilled: the server is killed when it has read some of the sessions. The next one
// starts with the others.
func TestRestoreKilled(t *testing.T) { synctest.Test(t, testRestoreKilled) }

func testRestoreKilled(t *testing.T) {
	session.SetSuspendBlock(t, 1) // one session
	l := teststores.SQLite.New(t)
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	ids := twoLost(t, s)
	if done := s.Suspend(t); done.Sessions != 2 {
		t.Fatalf("%+v", done)
	}
	killed, err := l.Open(t.Context(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer killed.Close()
	blocks, err := killed.TakeSessions(t.Context(), "", 1)
	if err != nil || len(blocks) != 1 || !slices.Equal(resourcesOf(t, blocks[0]), []string{"b"}) {
		t.Fatalf("%q, %v", blocks, err)
	}
	next := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if got := resume(t, next, ids[1], "</failed>"); !strings.Contains(got, "<item-not-found") {
		t.Errorf("the session that was read: %s", got)
	}
	if got := resume(t, next, ids[0], "</message>"); !strings.Contains(got, "<resumed ") || !strings.Contains(got, "<body>stored</body>") {
		t.Errorf("the session that was not read: %s; %+v", got, next.Restored)
	}
}

// TestSuspendRefuses: a session takes no stanza from the moment at which it is written. Its
// sender is told as if it had ended.
func TestSuspendRefuses(t *testing.T) { synctest.Test(t, testSuspendRefuses) }

func testSuspendRefuses(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	detachedInTurn(t, s, 1, func(int) bool { return true })
	var taken bool
	done, err := s.Sessions.Suspend(t.Context(), t.Context(), session.Keep{Limit: 1 << 20, Event: s.Router.LastEvent, Write: func(context.Context, []session.SavedUnit) error {
		romeo, sent := s.Sessions.First("romeo@localhost"), make(chan bool)
		s.Sessions.Go(session.Write, func(t *session.Turn) {
			sent <- romeo.SendBytes(t, []byte("<message type='chat' from='juliet@localhost/r'><body>late</body></message>"))
		})
		taken = <-sent
		return nil
	}})
	if taken || done.Sessions != 1 || err != nil {
		t.Errorf("taken: %v; %+v, %v", taken, done, err)
	}
}
