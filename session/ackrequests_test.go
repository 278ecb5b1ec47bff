package session

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roost/jid"
)

// TestAckTimeoutUnread: the time in which a client has to respond does not pass while its input
// is not read, because it waits for the store or because its account has caused too much. It
// begins anew after that.
func TestAckTimeoutUnread(t *testing.T) {
	const timeout = 40 * time.Second
	for desc, pause := range map[string]func(m *Manager, s *Session) (end func()){
		"busy": func(m *Manager, s *Session) func() {
			done := make(chan struct{})
			m.Offload(m.turns[0], s, Write, func(*Turn) { <-done })
			return func() { close(done) }
		},
		"throttled": func(_ *Manager, s *Session) func() {
			s.set(flagThrottled)
			return func() { s.unthrottle(0) }
		},
	} {
		t.Run(desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s, p, r := newManaged(t, Config{AckTimeout: timeout})
				wait := func(d time.Duration) {
					<-time.After(d)
					synctest.Wait()
					p.runPosted(m)
				}
				s.SendBytes(m.turns[0], []byte("<message id='1'/>"))
				m.EndTurn(0)
				end := pause(m, s)
				wait(3 * timeout)
				end()
				wait(0)
				wait(timeout / 2)
				if s.has(flagClosing | flagBusy | flagThrottled) {
					t.Fatal("the session has ended before its client's input was read")
				}
				s.Data(0, []byte("<a xmlns='urn:xmpp:sm:3' h='1'/>"))
				m.EndTurn(0)
				wait(2 * timeout)
				if s.has(flagClosing) || len(m.awaited.sessions) != 0 {
					t.Fatalf("the session has ended: %v; %d sessions are listed", s.has(flagClosing), len(m.awaited.sessions))
				}
				s.SendBytes(m.turns[0], []byte("<message id='2'/>"))
				m.EndTurn(0)
				end = pause(m, s)
				wait(3 * timeout)
				end()
				wait(0)
				wait(2 * timeout)
				if !s.has(flagClosing) {
					t.Error("the session has not ended though its client does not respond")
				}
				<-r.left
			})
		})
	}
}

// TestAckTimeoutChanged: a change of Config.AckTimeout applies to clients that owe a response
// already. Bugs: a check that was scheduled for the earlier time came much later, and without a
// time none was scheduled at all.
func TestAckTimeoutChanged(t *testing.T) {
	for _, test := range []struct {
		before, after time.Duration
		ends          bool
	}{
		{10 * time.Hour, time.Minute, true},
		{-1, time.Minute, true},
		{5 * time.Minute, -1, false},
		{5 * time.Minute, time.Hour, false},
	} {
		t.Run(fmt.Sprint(test.before, " to ", test.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s, p, r := newManaged(t, Config{AckTimeout: test.before})
				wait := func(d time.Duration) {
					<-time.After(d)
					synctest.Wait()
					p.runPosted(m)
				}
				s.SendBytes(m.turns[0], []byte("<message id='1'/>"))
				m.EndTurn(0)
				wait(2 * time.Minute)
				if s.has(flagClosing) {
					t.Fatal("the session has ended too early")
				}
				cfg := m.config().Config
				cfg.AckTimeout = test.after
				m.SetConfig(cfg)
				wait(8 * time.Second)
				wait(0)
				if s.has(flagClosing) != test.ends {
					t.Errorf("after the change the session has ended: %v", !test.ends)
				}
				if !test.ends {
					wait(30 * time.Minute)
					if s.has(flagClosing) {
						t.Error("the session has ended by the earlier time")
					}
					s.Close(nil)
					wait(0)
				}
				<-r.left
			})
		})
	}
}

// TestAckTimeoutOff: without Config.AckTimeout, sessions that owe nothing or have ended are not
// kept. Bug: each session that was ever asked for an acknowledgement stayed in memory.
func TestAckTimeoutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, p, r := newManaged(t, Config{AckTimeout: -1})
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
			p.runPosted(m)
		}
		listed := func() (n int, scheduled bool) {
			m.awaited.mu.Lock()
			defer m.awaited.mu.Unlock()
			return len(m.awaited.sessions), m.awaited.next != nil
		}
		ask := func(id int) {
			s.SendBytes(m.turns[0], fmt.Appendf(nil, "<message id='%d'/>", id))
			m.EndTurn(0)
		}
		ask(1)
		wait(2 * time.Hour)
		if n, _ := listed(); s.has(flagClosing) || n != 1 {
			t.Fatalf("the session has ended: %v; %d sessions are listed", s.has(flagClosing), n)
		}
		s.Data(0, []byte("<a xmlns='urn:xmpp:sm:3' h='1'/>"))
		m.EndTurn(0)
		wait(2 * time.Minute)
		if n, scheduled := listed(); n != 0 || scheduled {
			t.Errorf("%d sessions are listed that owe nothing", n)
		}
		ask(2)
		s.Close(nil)
		wait(0)
		<-r.left
		wait(2 * time.Minute)
		if n, scheduled := listed(); n != 0 || scheduled {
			t.Errorf("%d sessions are listed that have ended", n)
		}
	})
}

// TestAckIntervalChanged: a change of Config.AckInterval applies to clients that wait for the
// next request already.
func TestAckIntervalChanged(t *testing.T) {
	for _, after := range []time.Duration{time.Second, -1} {
		synctest.Test(t, func(t *testing.T) {
			m, s, p, r := newManaged(t, Config{AckInterval: time.Hour})
			wait := func(d time.Duration) {
				<-time.After(d)
				synctest.Wait()
				p.runPosted(m)
			}
			send := func(want string) {
				t.Helper()
				s.SendBytes(m.turns[0], []byte("<message/>"))
				m.EndTurn(0)
				if got := p.take(); got != "<message/>"+want {
					t.Fatalf("received %q", got)
				}
			}
			send(requestElement)
			s.Data(0, []byte("<a xmlns='urn:xmpp:sm:3' h='1'/>"))
			m.EndTurn(0)
			send("")
			cfg := m.config().Config
			cfg.AckInterval = after
			m.SetConfig(cfg)
			wait(time.Second)
			if got := p.take(); got != requestElement {
				t.Errorf("received %q", got)
			}
			s.Close(nil)
			wait(0)
			<-r.left
		})
	}
}

// receivingPipe is a connection whose client receives slowly.
type receivingPipe struct {
	ackPipe
	unconfirmed atomic.Int64
}

func (p *receivingPipe) Unconfirmed() int { return int(p.unconfirmed.Load()) }

// TestAckTimeoutReceiving: the time in which a client has to respond begins when it has received
// what was sent before the request, as long as that makes progress. It does not begin again because
// of what is sent later. Bug: a client with a slow network was disconnected while it received its
// roster, and then again each time it had resumed its session.
func TestAckTimeoutReceiving(t *testing.T) {
	const checks = 8 // in a timeout
	for _, test := range []struct {
		desc string
		left func(check int) int // how many bytes the client has not received
		ends int                 // the check that ends the session; the first one is 0
	}{
		{"all", func(int) int { return 0 }, checks - 1},
		{"nothing", func(int) int { return 1000 }, checks - 1},
		{"slowly", func(check int) int { return max(0, 100-check) }, 100 + checks},
		{"not all", func(check int) int { return max(50, 100-check) }, 50 + checks},
		{"what is sent later", func(check int) int { return (check + 1) % 2 }, 1 + checks},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const timeout = 40 * time.Second
				m, _, _, r := newManaged(t, Config{AckTimeout: timeout})
				p := &receivingPipe{ackPipe: ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}}
				s, _ := m.Adopt(p, jid.MustParse("juliet@localhost/r"))
				s.Data(0, []byte("<enable xmlns='urn:xmpp:sm:3'/>"))
				<-time.After(time.Second)
				s.SendBytes(m.turns[0], []byte("<message/>"))
				m.EndTurn(0)
				check := 0
				for ; ; check++ {
					p.unconfirmed.Store(int64(test.left(check)))
					<-time.After(timeout / checks)
					synctest.Wait()
					p.runPosted(m)
					if s.has(flagClosing) || check > test.ends {
						break
					}
				}
				if check != test.ends {
					t.Errorf("check %d has ended the session, want %d", check, test.ends)
				}
				<-r.left
			})
		})
	}
}
