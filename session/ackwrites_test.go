package session

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"roost/jid"
)

// writePipe is a connection that records what each write to its socket has.
type writePipe struct {
	ackPipe
	space  int  // of the outbox in bytes; 0: no limit
	stuck  bool // the socket accepts nothing
	writes []string
}

func (p *writePipe) QueueReserved(b []byte) error {
	if p.space > 0 && p.Queued()+len(b) > p.space {
		return errors.New("full")
	}
	return p.ackPipe.QueueReserved(b)
}

func (p *writePipe) Queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Len()
}

func (p *writePipe) Flush() (full bool) {
	if p.stuck {
		return p.Queued() > 0
	}
	if b := p.take(); b != "" {
		p.writes = append(p.writes, b)
	}
	return false
}

// writing is a session with stream management on a writePipe.
type writing struct {
	t *testing.T
	m *Manager
	s *Session
	p *writePipe
}

func newWriting(t *testing.T) *writing {
	m, _, _, _ := newManaged(t, Config{})
	w := &writing{t: t, m: m, p: &writePipe{ackPipe: ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}}}
	w.s, _ = m.Adopt(w.p, jid.MustParse("juliet@localhost/r"))
	w.data("<enable xmlns='urn:xmpp:sm:3'/>")
	w.wrote("the request", enabledElement)
	return w
}

// data handles input from the client.
func (w *writing) data(text string) {
	w.s.Data(0, []byte(text))
	w.m.EndTurn(0)
}

func (w *writing) ack(h int) { w.data(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)) }

// wrote checks what the writes since the last call have.
func (w *writing) wrote(after string, want ...string) {
	w.t.Helper()
	if !slices.Equal(w.p.writes, want) {
		w.t.Errorf("after %s: the writes %q, want %q", after, w.p.writes, want)
	}
	w.p.writes = nil
}

func numbered(n int) string { return fmt.Sprintf("<message id='%d'/>", n) }

// TestAckRequestWrite: a request for an acknowledgement is the end of the write with the
// stanzas that it is for, so it needs no packet of its own, which would wake a phone. At most
// one is outstanding. It does not matter which goroutine has sent the stanzas.
func TestAckRequestWrite(t *testing.T) {
	w := newWriting(t)
	turns := map[string]*Turn{"a turn of the loop": w.m.turns[0], "a turn of a worker": w.m.NewTurn()}
	n := 0
	for desc, turn := range turns {
		send := func() {
			n++
			w.s.SendBytes(turn, []byte(numbered(n)))
		}
		send()
		turn.end()
		w.wrote(desc, numbered(n)+requestElement)
		send()
		send()
		turn.end()
		w.wrote(desc+" while a request is outstanding", numbered(n-1)+numbered(n))
		w.ack(n - 1)
		w.wrote("an acknowledgement that leaves a stanza", requestElement)
		w.ack(n)
		w.wrote("the last acknowledgement")
		send()
		turn.Flush() // as a turn does that has much to send
		send()
		turn.end()
		w.wrote(desc+" with two flushes", numbered(n-1)+requestElement, numbered(n))
		w.ack(n)
		w.wrote("the last acknowledgement")
	}
}

// TestAckRequestNoSpace: a request that does not fit in the outbox follows as soon as there is
// space. Bug: unless something waited for the acknowledgement, it was never sent.
func TestAckRequestNoSpace(t *testing.T) {
	w := newWriting(t)
	w.p.space = len(numbered(1)) + len(requestElement) - 1
	w.s.SendBytes(w.m.turns[0], []byte(numbered(1)))
	w.m.EndTurn(0)
	w.wrote("a stanza that fills the outbox", numbered(1), requestElement)
	w.ack(1)

	w.p.stuck = true
	w.s.SendBytes(w.m.turns[0], []byte(numbered(2)))
	w.m.EndTurn(0)
	w.wrote("a stanza that the socket does not accept")
	w.p.stuck = false
	w.p.Flush()
	w.s.Drained(0)
	w.m.EndTurn(0)
	w.wrote("the socket has accepted it", numbered(2), requestElement)
	w.ack(2)
	w.s.Drained(0)
	w.m.EndTurn(0)
	w.wrote("all was acknowledged")
}
