package session

import (
	"testing"
	"testing/synctest"
	"time"
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
