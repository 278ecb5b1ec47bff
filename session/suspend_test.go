package session_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// resumable is a session whose client has lost its connection, and messages for it.
func resumable(t *testing.T, s *xmpptest.Server, messages ...string) (id string) {
	t.Helper()
	id = lostSession(t, s)
	c := newSASLClient(t, s)
	c.login("juliet")
	for _, body := range messages {
		c.write("<message to='romeo@localhost/r' type='chat'><body>" + body + "</body></message>")
	}
	c.ask("<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='ping'")
	c.ask("</stream:stream>", "</stream:stream>")
	return id
}

// resume requests the resumption of romeo's session, and returns the response up to until.
func resume(t *testing.T, s *xmpptest.Server, id, until string) string {
	t.Helper()
	c := newSASLClient(t, s)
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>", "/>")
	c.ask(openStream, "</stream:features>")
	return c.ask("<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+id+"'/>", until)
}

// stored returns the bodies of romeo's stored messages.
func stored(t *testing.T, st store.Store) (bodies []string) {
	t.Helper()
	all, _, err := st.Offline(t.Context(), jid.MustParse("romeo@localhost"), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		_, body, _ := bytes.Cut(m.Stanza, []byte("<body>"))
		body, _, _ = bytes.Cut(body, []byte("<"))
		bodies = append(bodies, string(body))
	}
	return bodies
}

// TestSuspendResume: a session is resumed after a restart, once. Only the first server after
// the stop has it: after a kill there is none.
func TestSuspendResume(t *testing.T) {
	l := teststores.SQLite.New(t)
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	id := resumable(t, s, "one", "two")
	if done := s.Suspend(t); done.Sessions != 1 || done.Ended != 0 || done.Bytes < 100 || done.Bytes > 1000 {
		t.Errorf("%+v", done)
	}
	s = xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if s.Restored.Sessions != 1 || s.Restored.Over+s.Restored.Damaged != 0 {
		t.Errorf("%+v", s.Restored)
	}
	if got := s.Sessions.RestoredCounts(); got != (session.RestoredCounts{Waiting: 1}) {
		t.Errorf("counted before its client is back: %+v", got)
	}
	killed := xmpptest.NewServer(t, xmpptest.Config{Location: l}) // as if s had been killed
	if got := resume(t, killed, id, "</failed>"); !strings.Contains(got, "<failed xmlns='urn:xmpp:sm:3'><item-not-found") {
		t.Errorf("after a kill: %s", got)
	}
	got := resume(t, s, id, ">two<")
	if !strings.Contains(got, "<resumed ") || !strings.Contains(got, ">one<") {
		t.Errorf("received %s", got)
	}
	if got := s.Sessions.RestoredCounts(); got != (session.RestoredCounts{Resumed: 1}) {
		t.Errorf("counted after the resumption: %+v", got)
	}
	if bodies := stored(t, s.Store); bodies != nil {
		t.Errorf("stored: %q", bodies)
	}
}

// TestSuspendRefused: sessions that cannot be written, because of the limit or the store,
// end, and their messages are stored.
func TestSuspendRefused(t *testing.T) {
	broken := errors.New("the disk is full")
	for name, keep := range map[string]session.Keep{
		"limit": {Limit: 100, Write: func(context.Context, []session.SavedUnit) error { panic("it is written") }},
		"store": {Limit: 1 << 20, Write: func(context.Context, []session.SavedUnit) error { return broken }},
	} {
		s := xmpptest.NewServer(t, xmpptest.Config{})
		resumable(t, s, "one", "two")
		keep.Event = s.Router.LastEvent
		done, err := s.Sessions.Suspend(t.Context(), t.Context(), keep)
		if done.Sessions != 0 || done.Ended != 1 || err == nil || name == "store" && !errors.Is(err, broken) {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
		if got := stored(t, s.Store); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%s: stored: %q", name, got)
		}
		if c := s.Sessions.Counts(); c.Bound+c.Waiting != 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// unitsOf returns the units of blocks.
func unitsOf(blocks [][]byte) (units [][]byte) {
	for _, b := range blocks {
		units = slices.AppendSeq(units, sessiondata.Units(b))
	}
	return units
}

// suspended returns a location with what a server has left, which change has changed.
func suspended(t *testing.T, change func(units [][]byte) [][]byte, messages ...string) (l store.Location, id string) {
	t.Helper()
	l = teststores.SQLite.New(t)
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	id = resumable(t, s, messages...)
	s.Suspend(t)
	st, err := l.Open(t.Context(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	units, err := st.TakeSessions(t.Context(), "", 1<<20)
	if err == nil {
		err = st.PutSessions(t.Context(), []store.SavedSession{{Data: slices.Concat(change(unitsOf(units))...)}})
	}
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return l, id
}

// TestRestoreDamaged: a session that was damaged cannot be resumed. Those of its messages
// that can be read are stored.
func TestRestoreDamaged(t *testing.T) {
	replace := func(old, new string) func([][]byte) [][]byte {
		return func(units [][]byte) [][]byte {
			for i := range units {
				units[i] = bytes.Replace(units[i], []byte(old), []byte(new), 1)
			}
			return units
		}
	}
	for name, test := range map[string]struct {
		change func([][]byte) [][]byte
		lost   bool // there is no session
		want   []string
	}{
		"stanza":  {replace("one", "0ne"), false, []string{"two"}},
		"address": {replace("romeo@localhost", "paris@localhost"), true, nil},
		"end":     {func(u [][]byte) [][]byte { u[1] = u[1][:len(u[1])-1]; return u }, false, []string{"one"}},
		"version": {func(u [][]byte) [][]byte { u[1][0]++; return u }, true, nil},
		"short":   {func(u [][]byte) [][]byte { u[1] = u[1][:1]; return u }, true, nil},
		"server":  {func(u [][]byte) [][]byte { return u[1:] }, false, []string{"one", "two"}},
		"twice":   {func(u [][]byte) [][]byte { return append(u, u[1]) }, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, id := suspended(t, test.change, "one", "two")
			s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
			if r := s.Restored; name != "server" && (r.Damaged != 1 || r.Err == nil) || (r.Sessions == 0) != test.lost {
				t.Errorf("%+v", r)
			}
			if name == "twice" {
				if got := resume(t, s, id, ">two<"); !strings.Contains(got, "<resumed ") {
					t.Errorf("received %s", got)
				}
				return
			}
			if got := resume(t, s, id, "</failed>"); !strings.Contains(got, "item-not-found") {
				t.Errorf("received %s", got)
			}
			xmpptest.Eventually(t, fmt.Sprintf("%q to be stored", test.want), func() bool {
				return slices.Equal(stored(t, s.Store), test.want)
			})
			if c := s.Sessions.Counts(); c.Bound != 0 {
				xmpptest.Eventually(t, "the session to end", func() bool { return s.Sessions.Counts().Bound == 0 })
			}
		})
	}
}

// TestRestoreUnknown: the state of an extension that is not there any more is ignored.
func TestRestoreUnknown(t *testing.T) {
	l, id := suspended(t, func(units [][]byte) [][]byte {
		d, err := sessiondata.ParseSession(units[1])
		if err != nil {
			t.Fatal(err)
		}
		d.Additions = append(d.Additions, sessiondata.Addition{Name: "gone", Data: []byte("x")})
		return [][]byte{units[0], sessiondata.AppendSession(nil, &d)}
	}, "one")
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if got := resume(t, s, id, "</message>"); !strings.Contains(got, "<resumed ") || s.Restored.Damaged != 0 {
		t.Errorf("%+v, %s", s.Restored, got)
	}
}

// TestRestoreOver: the time of a session goes on while the server is stopped. When it is
// over, the session ends after the start.
func TestRestoreOver(t *testing.T) {
	var left time.Duration
	age := func(by time.Duration) func(units [][]byte) [][]byte {
		return func(units [][]byte) [][]byte {
			d, err := sessiondata.ParseSession(units[1])
			if err != nil {
				t.Fatal(err)
			}
			left = time.Until(time.Unix(d.Until, 0))
			d.Until -= int64(by / time.Second)
			return [][]byte{units[0], sessiondata.AppendSession(nil, &d)}
		}
	}
	l, id := suspended(t, age(5*time.Minute), "one")
	if left < 9*time.Minute || left > 10*time.Minute+2*time.Second {
		t.Errorf("%v were left, want 10 minutes", left)
	}
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if got := resume(t, s, id, "</message>"); !strings.Contains(got, "<resumed ") || s.Restored.Over != 0 {
		t.Errorf("after half of the time: %+v, %s", s.Restored, got)
	}
	l, id = suspended(t, age(11*time.Minute), "one")
	s = xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if s.Restored.Over != 1 {
		t.Errorf("%+v", s.Restored)
	}
	if got := resume(t, s, id, "</failed>"); !strings.Contains(got, "<failed xmlns='urn:xmpp:sm:3' h='0'><item-not-found") {
		t.Errorf("when it is over: %s", got)
	}
	xmpptest.Eventually(t, "the message to be stored", func() bool { return slices.Equal(stored(t, s.Store), []string{"one"}) })
	if got := s.Sessions.RestoredCounts(); got != (session.RestoredCounts{Ended: 1}) {
		t.Errorf("counted after the end: %+v", got)
	}
}

// TestRestoreLongAfter: after a stop that was longer than account events are kept, nothing is
// resumed, because what has happened to the accounts is not known.
func TestRestoreLongAfter(t *testing.T) {
	l, id := suspended(t, func(units [][]byte) [][]byte {
		server, err := sessiondata.ParseServer(units[0])
		if err != nil {
			t.Fatal(err)
		}
		server.Stopped -= 3000
		return [][]byte{sessiondata.AppendServer(nil, &server), units[1]}
	})
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if got := resume(t, s, id, "</failed>"); !strings.Contains(got, "item-not-found") {
		t.Errorf("received %s", got)
	}
}

// TestRestoreRevoked: what has happened to an account while the server was stopped ends its
// sessions after the start.
func TestRestoreRevoked(t *testing.T) {
	romeo := jid.MustParse("romeo@localhost")
	for name, change := range map[string]func(store.Store) error{
		"deleted": func(st store.Store) error { return st.DeleteAccount(t.Context(), romeo, store.AnyEvent) },
		"locked":  func(st store.Store) error { return st.SetDisabled(t.Context(), romeo, true) },
		"password": func(st store.Store) error {
			a, err := st.Account(t.Context(), romeo)
			if err == nil {
				_, err = st.SetCredentials(t.Context(), romeo, store.AnyEvent, a.Credentials, false)
			}
			return err
		},
	} {
		l, _ := suspended(t, func(units [][]byte) [][]byte { return units })
		st, err := l.Open(t.Context(), store.Options{})
		if err == nil {
			err = errors.Join(change(st), st.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		s := xmpptest.NewServer(t, xmpptest.Config{Location: l})
		if s.Restored.Sessions != 1 {
			t.Errorf("%s: %+v", name, s.Restored)
		}
		xmpptest.Eventually(t, name+": the session to end", func() bool { return s.Sessions.Counts().Bound == 0 })
	}
}

// openResumable logs an account in, with a session that can be resumed.
func openResumable(t *testing.T, s *xmpptest.Server, account, resource string) (c *saslClient, id string) {
	t.Helper()
	c = newSASLClient(t, s)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00secret"))
	c.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", "/>")
	c.ask(openStream, "</stream:features>")
	c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
	c.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	c.ask("", ">")
	got := c.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "max='600'")
	_, id, _ = strings.Cut(got, "<enabled xmlns='urn:xmpp:sm:3' id='")
	id, _, _ = strings.Cut(id, "'")
	return c, id
}

// TestSuspendBusy: what a worker still does for a session that has lost its connection is done
// before any session is written.
func TestSuspendBusy(t *testing.T) { synctest.Test(t, testSuspendBusy) }

func testSuspendBusy(t *testing.T) {
	var faults faultstore.Faults
	l := teststores.SQLite.New(t)
	s := xmpptest.NewServer(t, xmpptest.Config{Location: l, Store: faults.Options()})
	a, _ := openResumable(t, s, "romeo", "a")
	b, id := openResumable(t, s, "romeo", "b")
	release := faults.StopWrites()
	defer release()
	before := faults.Calls("ApplyRoster")
	a.write("<iq type='set' id='set'><query xmlns='jabber:iq:roster'><item jid='paris@localhost'/></query></iq>")
	xmpptest.Eventually(t, "a worker to write the roster", func() bool { return faults.Calls("ApplyRoster") > before })
	_ = a.conn.Close()
	_ = b.conn.Close()
	xmpptest.Eventually(t, "both connections to be lost", func() bool { return s.Sessions.Stats().Acks.Waiting == 2 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Suspend(t)
	}()
	<-time.After(time.Second)
	synctest.Wait() // it has done whatever does not need the worker
	release()
	<-done
	s = xmpptest.NewServer(t, xmpptest.Config{Location: l})
	if got := resume(t, s, id, "</iq>"); !strings.Contains(got, "paris@localhost") {
		t.Errorf("received %s", got)
	}
}

// TestSuspendTimeOver: a session whose time is over while others are being written is
// handled once.
func TestSuspendTimeOver(t *testing.T) { synctest.Test(t, testSuspendTimeOver) }

func testSuspendTimeOver(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{ResumeTimeout: 5 * time.Second}})
	resumable(t, s, "one")
	var written [][]byte
	done, err := s.Sessions.Suspend(t.Context(), t.Context(), session.Keep{Limit: 1 << 20, Event: s.Router.LastEvent, Write: func(_ context.Context, units []session.SavedUnit) error {
		<-time.After(time.Minute)
		written = append(written, bytes.Clone(units[0].Data))
		return nil
	}})
	if err != nil || done.Sessions != 1 || len(written) != 1 || !bytes.Contains(written[0], []byte(">one<")) {
		t.Errorf("%+v, %v, %q", done, err, written)
	}
	if got := stored(t, s.Store); got != nil {
		t.Errorf("stored, too: %q", got)
	}
}
