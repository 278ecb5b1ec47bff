package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sized returns a stanza whose entry in a queue takes n bytes.
func sized(n int) []byte {
	const empty = "<message></message>"
	return []byte("<message>" + strings.Repeat("x", n-ackHeader-len(empty)) + "</message>")
}

// TestLargestStanza: the largest of the stanzas that a client has not acknowledged does not
// count for the limit, if it is large. Bug: a client with a large roster was disconnected by the
// next stanza after it.
func TestLargestStanza(t *testing.T) {
	const limit = 100 << 10
	fill := func(s *Session, want int) {
		t.Helper()
		n := 0
		for ; !s.has(flagSlow); n++ {
			if !s.SendBytes(s.mgr.turns[0], sized(1<<10)) {
				t.Fatal("refused")
			}
		}
		if n != want {
			t.Errorf("the session has ended after %d stanzas, want %d", n, want)
		}
	}
	f := func(desc string, large []int, acked, want int) {
		t.Helper()
		m, s, _, _ := newManaged(t, Config{Unacked: limit})
		for _, n := range large {
			s.SendBytes(m.turns[0], sized(n))
		}
		if acked > 0 {
			s.Data(0, fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", acked))
		}
		fill(s, want)
	}
	const most = limit>>10 + 2 // the one that exceeds the limit, and the next one
	f("none", nil, 0, most)
	f("one", []int{limit * 5}, 0, most)
	f("that is acknowledged", []int{limit * 5}, 1, most)
	f("one that is not large", []int{largeEntry - 1<<10}, 0, most-largeEntry>>10+1)
	f("two", []int{limit / 2, limit * 5}, 0, most-limit>>11)
	f("two in another order", []int{limit * 5, limit / 2}, 0, most-limit>>11)
	f("the largest of three is acknowledged", []int{limit * 5, limit / 2, limit / 2}, 1, most-limit>>11)
	f("the largest of three is acknowledged with another one", []int{limit / 2, limit * 5, limit / 2}, 2, most)
	f("two that are too large", []int{limit * 3 / 2, limit * 3 / 2}, 0, 1)
}

// TestOnAcked: what waits for acknowledgements is called when enough stanzas are acknowledged,
// and not when the socket has accepted them. A request that did not fit in the outbox is
// repeated, and one whose answer says nothing new.
func TestOnAcked(t *testing.T) {
	const limit = 3 << 10
	m, s, p, _ := newManaged(t, Config{})
	var order []string
	add := func(name string, limit int) {
		f := func(*Turn) { order = append(order, name) }
		if limit == 0 {
			s.OnDrain(f)
		} else {
			s.OnAcked(limit, f)
		}
	}
	check := func(when string, want ...string) {
		t.Helper()
		m.EndTurn(0)
		p.runPosted(m)
		if !slices.Equal(order, want) {
			t.Errorf("%s: %q, want %q", when, order, want)
		}
	}
	ack := func(h int) { s.Data(0, fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)) }
	if s.MustAck(1) {
		t.Error("there is something to acknowledge")
	}
	add("at once", limit)
	check("with nothing to acknowledge", "at once")
	for range 4 {
		s.SendBytes(m.turns[0], sized(1<<10))
	}
	if !s.MustAck(4<<10) || s.MustAck(4<<10+1) {
		t.Error("the limit is not what is to be acknowledged")
	}
	p.mu.Lock()
	p.full = true
	p.mu.Unlock()
	add("acked", limit)
	add("drained", 0)
	check("with a full outbox", "at once", "drained")
	if got := p.take(); strings.Contains(got, requestElement) {
		t.Error("there was space for a request")
	}
	p.mu.Lock()
	p.full = false
	p.mu.Unlock()
	s.Drained(0)
	check("when the outbox is empty", "at once", "drained")
	if got := p.take(); got != requestElement {
		t.Errorf("received %q, want a request", got)
	}
	ack(0)
	check("after an answer that says nothing new", "at once", "drained")
	if got := p.take(); got != requestElement {
		t.Errorf("received %q, want another request: the session waits for an acknowledgement", got)
	}
	ack(1)
	check("at the limit", "at once", "drained")
	ack(2)
	check("below the limit", "at once", "drained", "acked")
	ack(4)
	check("in the end", "at once", "drained", "acked")
}

// TestMustAckShare: while all clients have too much to acknowledge, one that is sent what can
// wait does not exceed its share.
func TestMustAckShare(t *testing.T) {
	m, s, _, _ := newManaged(t, Config{UnackedMemory: 1})
	n := 0
	for ; !s.MustAck(1 << 20); n++ {
		s.SendBytes(m.turns[0], sized(1<<10))
	}
	if n != unackedShare/2>>10 || s.has(flagSlow) {
		t.Errorf("%d stanzas were sent, and the session ends: %v", n, s.has(flagSlow))
	}
}
