package server

import (
	"fmt"
	"slices"
	"strings"
)

// What TestDeliveryModel knows about messages, and the rules of docs/delivery.md that it
// checks. All of this is guarded by deliveryModel.mu. Times are those of deliveryModel.clock,
// which advances with each event: all that matters is what came before what.

// modelMessage is one message with a body, or a chat state.
type modelMessage struct {
	stream  *modelStream
	number  int
	state   bool // it is only a chat state (XEP-0085)
	sent    int  // when the client wrote it first, or would have
	away    int  // modelAccount.gone of the recipient at that time
	acked   bool // the sender knows that the server has it
	unknown bool // the sender's session has ended, and it was not acknowledged

	arrived  []arrival
	has      int    // when a client knew that the server had its acknowledgement; 0: never
	alone    bool   // the account had no session from before it was sent until it was acknowledged
	stored   bool   // it must survive a kill: it was seen in the store, or no client was there to take it
	exempt   string // why it need not arrive: a client without stream management, or a kill
	history  []string
	reported bool
}

type arrival struct {
	session *modelSession
	delayed bool
}

// modelStream is the messages from one client to one address.
type modelStream struct {
	id       int
	from     *modelClient
	to       *modelAccount
	resource string // of the recipient; empty: its bare JID
	next     int
	first    int // messages with a lower number are not remembered any more
	messages []*modelMessage
}

func (s *modelStream) address() string {
	if s.resource == "" {
		return s.to.name + "@localhost"
	}
	return s.to.name + "@localhost/" + s.resource
}

// modelAccount is an account with its clients.
type modelAccount struct {
	name    string
	clients []*modelClient
	leaving bool // its clients are to log out and stay away
	gone    int  // since when the server has no session of the account; 0: it may have one
	waiting int  // clients that have logged out and wait
	log     []string
}

// modelSession is a session as its client knows it.
type modelSession struct {
	client    *modelClient
	number    int
	managed   bool   // stream management is enabled
	id        string // to resume the session; empty: that is not possible
	began     int    // before the request for a resource
	ended     int    // when the server could no longer give it anything; 0: it may
	available bool   // it has sent presence, and the server has handled that
	negative  bool   // its priority may be, or have been, negative
	carbons   bool
	got       map[*modelMessage]bool
	copies    map[string]bool // carbons that it has received
	latest    map[*modelStream]int
	live      map[*modelStream]int // the latest one that came without a delay
	received  []*modelMessage      // since stream management was enabled; nil for other stanzas
	confirmed int                  // how many of these the server knows that the client has
}

// maxAccountLog is the number of lines about an account that are kept for a failure.
const maxAccountLog = 300

// maxLater is how many of the messages that were sent after one are described for a failure.
const maxLater = 4

func (m *deliveryModel) logf(a *modelAccount, format string, args ...any) {
	a.log = append(a.log, fmt.Sprintf("%d %s ", m.tick(), a.name)+fmt.Sprintf(format, args...))
	if len(a.log) > maxAccountLog {
		a.log = slices.Delete(a.log, 0, len(a.log)-maxAccountLog)
	}
}

func (m *deliveryModel) note(x *modelMessage, format string, args ...any) {
	x.history = append(x.history, fmt.Sprintf("%d ", m.tick())+fmt.Sprintf(format, args...))
}

func (x *modelMessage) String() string {
	kind := "message"
	if x.state {
		kind = "chat state"
	}
	return fmt.Sprintf("%s %d of %s to %s", kind, x.number, x.stream.from, x.stream.address())
}

// wrong reports a broken promise about a message, with all that is known of it.
func (m *deliveryModel) wrong(x *modelMessage, format string, args ...any) {
	if x.reported {
		return
	}
	x.reported = true
	text := fmt.Sprintf("%v %s", x, fmt.Sprintf(format, args...))
	lines := func(title string, all []string) { text += "\n  " + title + ":\n    " + strings.Join(all, "\n    ") }
	lines("its history", x.history)
	for i, o := range x.stream.messages[x.number-x.stream.first+1:] {
		if i == maxLater {
			break
		}
		lines(o.String(), o.history)
	}
	lines("the sender", x.stream.from.account.log)
	lines("the recipient", x.stream.to.log)
	m.errorf("%s", text)
}

// newMessage adds a message to a stream.
func (m *deliveryModel) newMessage(s *modelStream, state bool) *modelMessage {
	x := &modelMessage{stream: s, number: s.next, state: state, sent: m.tick(), away: s.to.gone}
	s.next++
	s.messages = append(s.messages, x)
	m.note(x, "is sent in session %d", s.from.session.number)
	if !state {
		m.counts.sent++
	}
	return x
}

// accepted is called when the sender knows that the server has a message.
func (m *deliveryModel) accepted(x *modelMessage) {
	x.acked = true
	m.note(x, "is acknowledged to its sender")
	if x.state {
		return
	}
	m.counts.acked++
	if gone := x.stream.to.gone; gone != 0 && gone == x.away {
		x.alone, x.stored = true, true
		m.counts.away++
	}
}

// find returns the message that an id attribute names.
func (m *deliveryModel) find(id string) *modelMessage {
	var stream, number int
	if n, _ := fmt.Sscanf(id, "m%d.%d", &stream, &number); n != 2 || stream >= len(m.streams) {
		return nil
	}
	s := m.streams[stream]
	if number < s.first || number >= s.next {
		return nil
	}
	return s.messages[number-s.first]
}

// arrives checks a message that has arrived in a session.
func (m *deliveryModel) arrives(s *modelSession, x *modelMessage, delayed bool) {
	a := s.client.account
	m.note(x, "arrives at %s, session %d, delayed %v", s.client, s.number, delayed)
	again := s.client.had(x)
	switch {
	case x.stream.to != a:
		m.wrong(x, "arrives at another account, %s", a.name)
	case s.got[x]:
		m.wrong(x, "arrives twice in one session")
	case x.has != 0 && x.has < s.began:
		m.wrong(x, "arrives in a session that began after its acknowledgement was handled")
	case again && !delayed && !x.state:
		m.wrong(x, "arrives again at the same client without a delay")
	}
	if again {
		m.counts.again++
	}
	m.checkOrder(s, x, delayed)
	s.got[x] = true
	x.arrived = append(x.arrived, arrival{s, delayed})
	m.counts.arrived++
}

// checkOrder checks that a message does not arrive after a later one of its stream.
func (m *deliveryModel) checkOrder(s *modelSession, x *modelMessage, delayed bool) {
	switch {
	case x.unknown:
		return // it was sent before others, but perhaps handled after them
	case !s.available || s.negative:
		return // it gets what is sent to its full JID, but not what is stored
	}
	latest, any := s.latest[x.stream]
	live, anyLive := s.live[x.stream]
	switch {
	case x.state && (!any || latest < x.number):
		return
	case any && latest > x.number && !m.others(s.client, x):
		m.wrong(x, "arrives after number %d in one session", latest)
	case anyLive && live > x.number && !delayed:
		m.wrong(x, "arrives, without a delay, after number %d in one session", live)
	}
	if x.state {
		return
	}
	s.latest[x.stream] = max(latest, x.number)
	if !delayed {
		s.live[x.stream] = max(live, x.number)
	}
	if len(x.stream.to.clients) == 1 { // then the order holds over all of its sessions
		c := s.client
		if last, any := c.latest[x.stream]; any && last > x.number && len(x.arrived) == 0 {
			m.wrong(x, "arrives for the first time after number %d", last)
		}
		c.latest[x.stream] = max(c.latest[x.stream], x.number)
	}
}

// others reports whether another client of the account may have had the message. What it had is
// handed on when its session ends, and may come after what was sent to this client meanwhile.
func (m *deliveryModel) others(client *modelClient, x *modelMessage) bool {
	for _, c := range client.account.clients {
		for _, o := range c.sessions {
			if c != client && (o.ended == 0 || o.ended > x.sent) && (!x.alone || o.began > x.sent) {
				return true
			}
		}
	}
	return false
}

// had reports whether the message has arrived at the client in an earlier session.
func (c *modelClient) had(x *modelMessage) bool {
	return slices.ContainsFunc(x.arrived, func(a arrival) bool { return a.session.client == c })
}

// confirm is called when the server knows that the client has its first n stanzas.
func (m *deliveryModel) confirm(s *modelSession, n int) {
	for ; s.confirmed < n; s.confirmed++ {
		if x := s.received[s.confirmed]; x != nil && x.has == 0 {
			x.has = m.tick()
			m.note(x, "is acknowledged by %s, session %d, for certain", s.client, s.number)
		}
	}
}

// sessionEnded is called when the server can give a session nothing any more. If its client
// had no stream management, and has not seen the end of the stream, messages to the account
// may have been lost with the connection.
func (m *deliveryModel) sessionEnded(s *modelSession, clean bool) {
	if s.ended != 0 {
		return
	}
	s.ended = m.tick()
	m.logf(s.client.account, "%s: the end of session %d, clean: %v", s.client, s.number, clean)
	if !s.managed && !clean {
		m.excuse(func(x *modelMessage) bool { return x.stream.to == s.client.account },
			fmt.Sprintf("the connection of session %d was lost, without stream management", s.number))
	}
}

// excuse is called when messages that have not arrived may be lost.
func (m *deliveryModel) excuse(which func(*modelMessage) bool, why string) {
	m.each(func(x *modelMessage) {
		if len(x.arrived) == 0 && x.exempt == "" && !x.state && which(x) {
			x.exempt = why
			m.note(x, "may be lost: %s", why)
		}
	})
}

func (m *deliveryModel) each(f func(*modelMessage)) {
	for _, s := range m.streams {
		for _, x := range s.messages {
			f(x)
		}
	}
}

// connEnded is called when a client has seen the end of a connection.
func (m *deliveryModel) connEnded() {
	m.conns--
	m.cond.Broadcast()
}

// killed is called when the server has been killed and all that it had sent was received.
// Before that, the store had the messages with these IDs. If sessions may have been saved, the next
// server may have those that can be resumed.
func (m *deliveryModel) killed(stored map[string]bool, looked int, saved bool) {
	for _, c := range m.clients {
		for _, s := range c.sessions {
			if !saved || !s.managed {
				m.sessionEnded(s, false)
			}
		}
	}
	m.each(func(x *modelMessage) {
		if stored[x.id()] {
			x.stored = true
			m.note(x, "was in the store before the server was killed")
		}
		// "The server was killed after the client's acknowledgement had arrived, and before
		// the message was deleted from the store."
		if x.has != 0 && (stored[x.id()] || x.has > looked) {
			x.has = 0
		}
	})
	if !m.durable {
		m.excuse(func(x *modelMessage) bool { return !x.stored }, "the server was killed")
	}
}

func (x *modelMessage) id() string { return fmt.Sprintf("m%d.%d", x.stream.id, x.number) }

// promised reports whether a message must arrive and has not.
func (x *modelMessage) missing() bool {
	return x.acked && !x.state && x.exempt == "" && len(x.arrived) == 0
}

// settled checks that all that was promised has arrived, and forgets the messages. All
// clients are online, and the server has nothing left for them.
func (m *deliveryModel) settled() {
	m.each(func(x *modelMessage) {
		if x.missing() {
			m.wrong(x, "was acknowledged and has not arrived")
		}
		if x.exempt != "" && x.acked {
			m.counts.exempt++
		}
	})
	for _, s := range m.streams {
		s.messages, s.first = nil, s.next
	}
	for _, c := range m.clients {
		c.sessions = slices.DeleteFunc(c.sessions, func(s *modelSession) bool { return s.ended != 0 })
		for _, s := range c.sessions {
			clear(s.got)
			clear(s.copies)
			for i := range s.received {
				s.received[i] = nil
			}
		}
	}
}
