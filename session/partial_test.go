package session

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

// partialRouter is a router that drops all stanzas.
type partialRouter struct{ handing }

func (*partialRouter) Stanza(*Turn, *Session, *stanza.Stanza, int) (int, Work) { return 0, Done }

// partialManager makes a manager whose limit for incomplete stanzas is 4 MiB.
func partialManager(t *testing.T) *Manager {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: &partialRouter{handing{left: make(chan struct{})}}, MaxResources: 200, AckInterval: -1,
		Workers: 1, Writers: 1, KeyWorkers: 1, PartialMemory: partialLimit, Limits: parser.Limits{MaxStanza: partialStanza}})
	t.Cleanup(m.Close)
	m.AddFeatures(StreamManagement)
	return m
}

const (
	partialLimit  = 4 << 20
	partialStanza = 64 << 10
)

func newPlugPipe() *plugPipe {
	return &plugPipe{ackPipe: ackPipe{pipe: pipe{posted: make(chan func(int), 1000)}}, socket: new(fakeSocket)}
}

func adoptPlugPipe(m *Manager, full string) (*Session, *plugPipe) {
	p := newPlugPipe()
	s, _ := m.Adopt(p, jid.MustParse(full))
	return s, p
}

// sendIn sends text in pieces as they are read from a socket, while the stream lasts.
func (s *Session) sendIn(m *Manager, size int, text string) {
	for len(text) > 0 && !s.has(flagClosing) {
		n := min(size, len(text))
		s.Data(0, []byte(text[:n]))
		m.EndTurn(0)
		text = text[n:]
	}
}

// dense is an incomplete stanza of about n bytes with as many tokens as possible.
func dense(n int) string { return "<message to='juliet@localhost'>" + strings.Repeat("x<a/>", n/5) }

// TestPartialMemory: the incomplete stanzas of all streams of an account together hold at
// most half of the memory for those of all clients. Beyond it, streams end with
// <resource-constraint/>. Meanwhile clients of other accounts send large stanzas, and any
// client sends ordinary ones. In the end nothing is counted.
func TestPartialMemory(t *testing.T) {
	m := partialManager(t)
	var all []*Session
	held, ended := 0, 0
	for i := range 100 {
		s, p := adoptPlugPipe(m, fmt.Sprintf("romeo@localhost/%d", i))
		s.sendIn(m, 8<<10, dense(partialStanza-100))
		if s.has(flagClosing) {
			ended++
			if got := p.take(); !strings.Contains(got, "<resource-constraint ") {
				t.Fatalf("the stream ends with %q", got)
			}
		}
		all, held = append(all, s), held+s.parser.Held()
		if n := m.Stats().PartialBytes; n > partialLimit/2 {
			t.Fatalf("%d bytes are counted for %d streams of one account", n, i+1)
		}
	}
	if held > partialLimit/2+100*(partialFree+partialFree/2) || held < partialLimit/4 || ended < 90 {
		t.Errorf("the streams hold %d bytes, and %d have ended", held, ended)
	}
	body := "<message to='nobody@localhost'><body>" + strings.Repeat("<i>a word or two</i> ", 3<<10) + "</body></message>"
	juliet, _ := adoptPlugPipe(m, "juliet@localhost/r")
	juliet.sendIn(m, 4<<10, body)
	romeo, _ := adoptPlugPipe(m, "romeo@localhost/ordinary")
	romeo.sendIn(m, 1<<10, "<message to='nobody@localhost'><body>"+strings.Repeat("<i>a word or two</i> ", 700)+"</body></message>")
	for _, s := range []*Session{juliet, romeo} {
		if s.has(flagClosing|flagPartial) || !s.parser.Idle() {
			t.Errorf("%s could not send its stanza", s.FullJID())
		}
	}
	for _, s := range append(all, juliet, romeo) {
		s.Closed(0, io.EOF)
	}
	if n := m.Stats().PartialBytes; n != 0 || m.partials.streams != nil || m.partials.oldest.Len() != 0 {
		t.Errorf("in the end %d bytes are counted", n)
	}
}

// TestPartialEviction: when incomplete stanzas of several accounts use three quarters of the
// memory, the streams that have held memory for the longest time end, so that those of other
// accounts still find some. A session that can be resumed waits for its client.
func TestPartialEviction(t *testing.T) {
	m := partialManager(t)
	all, pipes := []*Session(nil), []*plugPipe(nil)
	enter := func() *Session {
		s, p := adoptPlugPipe(m, fmt.Sprintf("a%d@localhost/r", len(all)))
		all, pipes = append(all, s), append(pipes, p)
		return s
	}
	run := func() {
		for _, p := range pipes {
			for len(p.posted) > 0 {
				p.runPosted(m)
			}
		}
	}
	enter().sendIn(m, 1<<10, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	run()
	pipes[0].take()
	all[0].sendIn(m, 8<<10, dense(20<<10))
	for range 100 {
		s := enter()
		s.sendIn(m, 8<<10, dense(20<<10))
		run()
		if s.has(flagClosing) {
			t.Fatalf("stream %d ends: it found no memory; %d bytes are counted", len(all)-1, m.Stats().PartialBytes)
		}
	}
	if n := m.Stats().PartialBytes; n > partialLimit*3/4 || n < partialLimit/2 || m.partials.leaving != 0 {
		t.Errorf("%d bytes are counted", n)
	}
	for i, s := range all[:2] {
		if got := pipes[i].take(); !strings.Contains(got, "<resource-constraint ") || s.has(flagPartial) || s.Detached() != (i == 0) {
			t.Errorf("stream %d: %q", i, got)
		}
	}
	if last := all[len(all)-1]; !last.has(flagPartial) {
		t.Error("the newest stream is not counted")
	}
	m.partials.mu.Lock()
	end := m.partials.evict(1) // all; what is posted runs after some of the stanzas are complete
	m.partials.mu.Unlock()
	if len(end) == 0 {
		t.Fatal("none is to end")
	}
	for _, s := range end {
		s.sendIn(m, 100, "</message>")
		s.evictPartial(m.turns[0])
		if s.has(flagClosing) {
			t.Fatal("a stream whose stanza is complete ends")
		}
	}
	if m.partials.total != 0 || m.partials.leaving != 0 || m.partials.accounts != nil {
		t.Errorf("%d bytes are counted, %d of streams that are to end", m.partials.total, m.partials.leaving)
	}
}

// TestPartialReleased: however an incomplete stanza ends, it is no longer counted.
func TestPartialReleased(t *testing.T) {
	f := func(desc string, end func(m *Manager, s *Session, p *plugPipe)) {
		t.Helper()
		m := partialManager(t)
		s, p := adoptPlugPipe(m, "romeo@localhost/r")
		s.sendIn(m, 1<<10, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		s.sendIn(m, 4<<10, dense(30<<10))
		if n := m.Stats().PartialBytes; n < 30<<10 || n < int64(s.parser.Held()) {
			t.Fatalf("%s: %d bytes are counted of %d", desc, n, s.parser.Held())
		}
		end(m, s, p)
		for len(p.posted) > 0 {
			p.runPosted(m)
		}
		if n := m.Stats().PartialBytes; n != 0 || s.has(flagPartial) || m.partials.streams != nil || m.partials.accounts != nil {
			t.Errorf("%s: %d bytes are counted", desc, n)
		}
	}
	send := func(text string) func(*Manager, *Session, *plugPipe) {
		return func(m *Manager, s *Session, _ *plugPipe) { s.sendIn(m, 4<<10, text) }
	}
	f("complete", send("</message>"))
	f("complete, and another one", send("</message><message/><presence/><message>"))
	f("not well-formed", send("</iq>"))
	f("too large", send(strings.Repeat("x", partialStanza)))
	f("lost", func(m *Manager, s *Session, p *plugPipe) { p.lose(m, s) })
	f("lost, cannot be resumed", func(m *Manager, s *Session, p *plugPipe) {
		m.stopping.Store(true)
		p.lose(m, s)
	})
	f("closed", func(_ *Manager, s *Session, _ *plugPipe) { s.Close(ErrConflict) })
	f("dismissed", func(_ *Manager, s *Session, _ *plugPipe) { s.Dismiss(ErrConflict) })
	f("expired", func(_ *Manager, s *Session, _ *plugPipe) { s.Expired(0, errors.New("silent")) })
	f("shutdown", func(m *Manager, s *Session, _ *plugPipe) {
		m.stopping.Store(true)
		s.endOnLoop(s.suspend)
	})
}

// webPipe is a plugPipe with messages.
type webPipe struct{ *plugPipe }

func (webPipe) Messages() bool { return true }

// TestPartialMessage: what has arrived of a message (RFC 7395) is counted until it is complete,
// or ends too early.
func TestPartialMessage(t *testing.T) {
	m := partialManager(t)
	for end, closes := range map[string]bool{"</message>": false, "": true} {
		s, _ := m.Adopt(webPipe{newPlugPipe()}, jid.MustParse("romeo@localhost/r"+end))
		s.Message(0, []byte("<message xmlns='jabber:client'>"+strings.Repeat("x<a/>", 5000)), false)
		s.Message(0, []byte("more"), false)
		if n := m.Stats().PartialBytes; n < int64(s.parser.Held()) || n < 25000 {
			t.Errorf("%d bytes are counted of %d", n, s.parser.Held())
		}
		s.Message(0, []byte(end), true)
		if n := m.Stats().PartialBytes; n != 0 || s.has(flagClosing) != closes {
			t.Errorf("after the end of the message, %d bytes are counted", n)
		}
	}
}
