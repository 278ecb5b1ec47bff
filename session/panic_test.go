package session

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/panics"
	"roost/jid"
	"roost/stanza"
)

// internal is the end of a stream after a panic.
const internal = "<stream:error><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"

// brittle is a router that panics where a message requests it, with scratch memory of its
// turn in use. It echoes all other messages.
type brittle struct {
	Router // nil: the rest is not called
	left   int
}

func (r *brittle) Stanza(t *Turn, s *Session, st *stanza.Stanza, stage int) (int, Work) {
	b := append(t.GetBuf(), "half of something"...)
	switch where := string(st.ID); {
	case where == "loop":
		_ = append(t.GetBuf(), "nested"...)
		panic("on the loop")
	case where == "read" && t.MayBlock():
		panic("on a worker")
	case where == "write" && t.MayWrite():
		panic("on a writer")
	case where == "derive" && t.MayDerive():
		panic("on a worker for keys")
	case where == "read":
		t.PutBuf(b)
		return stage, Read
	case where == "derive":
		t.PutBuf(b)
		return stage, Derive
	case where == "write":
		t.PutBuf(b)
		return stage, Write
	case where == "posted":
		s.runOnLoop(func(*Turn) { panic("in what was posted") })
	case where == "busy":
		s.offload(Read, func(*Turn) {})
		panic("on the loop, when a worker has the session")
	case where == "drained":
		s.OnDrain(func(*Turn) { panic("when the socket was drained") })
	case where == "table":
		s.mgr.table.update("somebody", func(*Session) *Session { panic("in the table") })
	}
	t.PutBuf(b)
	s.SendBytes(t, stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: "router"}))
	return stage, Done
}

func (r *brittle) OnBind(*Turn, *Session, ConflictPolicy) *stanza.ErrorReply { return nil }
func (r *brittle) Unlinked(*Session)                                         {}
func (r *brittle) EndElsewhere(*Turn, *Session, func(string) bool)           {}
func (r *brittle) OnUnavailable(t *Turn, s *Session) bool {
	r.left++
	s.SetPresence(nil, 0)
	return true
}

// pipe is a connection whose loop is the test's goroutine.
type pipe struct {
	NoConn
	mu     sync.Mutex
	out    bytes.Buffer
	posted chan func(int)
	closed bool
	paused bool
}

func (p *pipe) Queue(b []byte) error { p.mu.Lock(); p.out.Write(b); p.mu.Unlock(); return nil }
func (p *pipe) Pause()               { p.paused = true }
func (p *pipe) Resume()              { p.paused = false }
func (p *pipe) Post(f func(int))     { p.posted <- f }
func (p *pipe) Close(time.Duration)  { p.closed = true }

// runAll runs posted functions until the session is no longer busy and none are left.
func (p *pipe) runAll(m *Manager) {
	for p.paused || len(p.posted) > 0 {
		(<-p.posted)(0)
		m.EndTurn(0)
	}
}

// TestPanicEndsOneStream: a panic in code that handles a client's input ends only that
// stream, with <internal-server-error/>. It is counted, and logged with its stack once a
// minute. The loop's memory remains usable for other sessions.
func TestPanicEndsOneStream(t *testing.T) {
	var log bytes.Buffer
	r := new(brittle)
	m := NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer m.Close()
	enter := func(name string) (*Session, *pipe) {
		p := &pipe{posted: make(chan func(int), 100)}
		s, _ := m.Adopt(p, jid.MustParse(name))
		return s, p
	}
	other, otherPipe := enter("nurse@localhost/r")
	where := []string{"loop", "read", "write", "derive", "derive", "posted", "busy", "drained"}
	for i, w := range where {
		s, p := enter(fmt.Sprintf("romeo@localhost/%d", i))
		// Meanwhile the loop has read half of another client's stanza.
		half := "<message id='o'><body>to be or not"
		rest := " to be</body></message>"
		other.Data(0, []byte(half))
		text := []byte("<message id='" + w + "'/><message id='next'/>")
		if n := s.Data(0, text); w == "loop" && n != len(text) {
			t.Errorf("%s: %d bytes of %d were consumed", w, n, len(text))
		}
		m.EndTurn(0)
		p.runAll(m)
		if got := p.out.String(); !strings.HasSuffix(got, internal) || strings.Count(got, "stream:error>") != 2 || !p.closed {
			t.Errorf("%s: the client got %q, closed: %v", w, got, p.closed)
		}
		if s.Data(0, []byte("<message id='late'/>")); strings.Contains(p.out.String(), "late") {
			t.Errorf("%s: the session still handles input", w)
		}
		s.Closed(0, nil)
		if r.left != i+1 || m.First(s.BareJID()) != nil {
			t.Errorf("%s: %d have left, want %d", w, r.left, i+1)
		}
		otherPipe.out.Reset()
		other.Data(0, []byte(rest))
		other.Data(0, []byte("<message id='whole'><body>whole</body></message>"))
		want := "<message from='router' id='o'><body>to be or not to be</body></message><message from='router' id='whole'><body>whole</body></message>"
		if got := otherPipe.out.String(); got != want {
			t.Errorf("%s: another client got %q, want %q", w, got, want)
		}
	}
	if m.Panics() != int64(len(where)) {
		t.Errorf("%d panics were counted, want %d", m.Panics(), len(where))
	}
	if got := log.String(); strings.Count(got, "recovered from a panic") != 1 || !strings.Contains(got, "brittle") {
		t.Errorf("the log has %q, want one stack", got)
	}
	other.Closed(0, nil)
}

// TestPanicInTableIsFatal: a panic that leaves shared state locked is not recovered.
func TestPanicInTableIsFatal(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Router: new(brittle)})
	defer m.Close()
	p := &pipe{posted: make(chan func(int), 100)}
	s, _ := m.Adopt(p, jid.MustParse("romeo@localhost/r"))
	var got any
	func() {
		defer func() { got = recover() }()
		s.Data(0, []byte("<message id='table'/>"))
	}()
	if _, fatal := got.(*panics.Fatal); !fatal || !strings.Contains(fmt.Sprint(got), "in the table") {
		t.Errorf("the panic was %v", got)
	}
	if m.Panics() != 0 {
		t.Errorf("%d panics were recovered from", m.Panics())
	}
}
