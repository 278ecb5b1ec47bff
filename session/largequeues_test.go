package session

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/sessiondata"
	"roost/jid"
)

// crowd is a manager with many sessions, and its router. What is handed on is counted.
type crowd struct {
	leaving
	m     *Manager
	pipes []*plugPipe
	left  chan string // the addresses of those that have left
	sizes int         // of the stanzas that were handed on, with one worker
}

func (c *crowd) HandOn(_ *Turn, _ *Session, batches iter.Seq[[]Unacked]) {
	for batch := range batches {
		for _, u := range batch {
			c.sizes += ackHeader + len(u.Stanza)
		}
	}
}

func (c *crowd) OnUnavailable(_ *Turn, s *Session) bool {
	c.left <- s.FullJID()
	return true
}

// newCrowd makes a crowd that makes room only when it is told to.
func newCrowd(t *testing.T, memory int64) *crowd {
	c := &crowd{left: make(chan string, 100)}
	c.m = NewManager(Config{Domains: []string{"localhost"}, Router: c, Workers: 1, Writers: 1, KeyWorkers: 1, AckInterval: -1, UnackedMemory: memory})
	t.Cleanup(c.m.Close)
	c.m.AddFeatures(StreamManagement)
	c.m.large.busy.Store(true)
	return c
}

func (c *crowd) pipe() *plugPipe {
	p := &plugPipe{ackPipe: ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}, socket: new(fakeSocket)}
	c.pipes = append(c.pipes, p)
	return p
}

// add makes a session that can be resumed, and sends it stanzas of these sizes.
func (c *crowd) add(full string, sizes ...int) *Session {
	s, _ := c.m.Adopt(c.pipe(), jid.MustParse(full))
	s.Data(0, []byte("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"))
	for _, n := range sizes {
		s.SendBytes(c.m.turns[0], sized(n))
	}
	c.m.EndTurn(0)
	return s
}

// lose breaks the connection of the session that was added last.
func (c *crowd) lose(s *Session) { c.pipes[len(c.pipes)-1].lose(c.m, s) }

// makeRoom returns the addresses of the sessions that have ended, sorted.
func (c *crowd) makeRoom() []string {
	if limit := c.m.config().UnackedMemory; c.m.unackedBytes.Load() > limit {
		c.m.large.makeRoom(limit)
	}
	return c.run()
}

// run runs what is posted, waits until the sessions that end have left, and returns their addresses.
func (c *crowd) run() (ended []string) {
	var all []*Session
	c.m.Each(func(s *Session) bool {
		all = append(all, s)
		return true
	})
	for _, p := range c.pipes {
		p.runPosted(c.m)
	}
	for _, s := range all {
		if s.Ending() {
			ended = append(ended, <-c.left)
		}
	}
	slices.Sort(ended)
	return ended
}

// end ends the sessions that are left, and checks the counters.
func (c *crowd) end(t *testing.T) {
	t.Helper()
	c.m.Each(func(s *Session) bool {
		s.Close(nil)
		return true
	})
	c.run()
	if n, listed := c.m.unackedBytes.Load(), c.m.large.all.Size(); n != 0 || listed != 0 || c.m.Detached() != 0 {
		t.Errorf("in the end, %d bytes are counted, %d queues are listed, %d sessions are detached", n, listed, c.m.Detached())
	}
}

// TestMakeRoom: the sessions that end are the largest ones of the account with the most, also one
// that waits for its client. Their stanzas are handed on. Others keep their sessions.
func TestMakeRoom(t *testing.T) {
	const k = 1 << 10
	c := newCrowd(t, 1<<20)
	c.add("juliet@localhost/a", 150*k)
	c.add("nurse@localhost/a", 20*k)
	for i := range 10 {
		c.add(fmt.Sprintf("small%d@localhost/a", i), 15*k)
	}
	c.add("romeo@localhost/small", 10*k)
	c.add("romeo@localhost/b", 200*k, 90*k)
	a := c.add("romeo@localhost/a", 310*k)
	if got := c.makeRoom(); got != nil {
		t.Fatalf("sessions have ended with %d bytes unacknowledged: %q", c.m.unackedBytes.Load(), got)
	}
	c.lose(c.add("romeo@localhost/c", 320*k))
	if c.m.Detached() != 1 || a.Detached() {
		t.Fatalf("%d sessions wait for their clients, want one", c.m.Detached())
	}
	if got, want := c.makeRoom(), []string{"romeo@localhost/a", "romeo@localhost/c"}; !slices.Equal(got, want) {
		t.Errorf("%q have ended, want %q", got, want)
	}
	if c.sizes != 630*k {
		t.Errorf("%d bytes were handed on, want %d", c.sizes, 630*k)
	}
	c.add("juliet@localhost/b", 380*k)
	c.add("nurse@localhost/b", 50*k)
	if got, want := c.makeRoom(), []string{"juliet@localhost/b"}; !slices.Equal(got, want) {
		t.Errorf("%q have ended, want %q", got, want)
	}
	c.end(t)
}

// TestMakeRoomDetached: a session that waits for its client, and has the most, ends. The client of
// a connected one is told why.
func TestMakeRoomDetached(t *testing.T) {
	c := newCrowd(t, 1<<20)
	c.lose(c.add("romeo@localhost/a", 600<<10))
	c.add("juliet@localhost/a", 500<<10)
	if got, want := c.makeRoom(), []string{"romeo@localhost/a"}; !slices.Equal(got, want) {
		t.Errorf("%q have ended, want %q", got, want)
	}
	c.add("nurse@localhost/a", 450<<10)
	c.add("nurse@localhost/b", 100<<10)
	c.pipes[1].take()
	c.add("juliet@localhost/b", 100<<10)
	if got, want := c.makeRoom(), []string{"juliet@localhost/a"}; !slices.Equal(got, want) {
		t.Errorf("%q have ended, want %q", got, want)
	}
	if got := c.pipes[1].take(); !strings.Contains(got, "<resource-constraint ") || !strings.HasSuffix(got, "</stream:stream>") {
		t.Errorf("the client received %q", got)
	}
	if ended := fmt.Sprint(c.m.Ended()); ended != "[{resource-constraint 1} {slow-reader 1}]" {
		t.Errorf("counted %s", ended)
	}
	c.end(t)
}

// TestMakeRoomSmallQueues: if many small queues leave no room, an account that has been sent a
// roster keeps its session, unless the client does not acknowledge that.
func TestMakeRoomSmallQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const others = 64 << 20
		c := newCrowd(t, others)
		c.m.unackedBytes.Add(others)
		defer c.m.unackedBytes.Add(-others)
		c.add("romeo@localhost/a", accountShare(others)/2)
		c.add("juliet@localhost/a", accountShare(others)+1)
		if got, want := c.makeRoom(), []string{"juliet@localhost/a"}; !slices.Equal(got, want) {
			t.Errorf("%q have ended, want %q", got, want)
		}
		<-time.After(roomAge)
		if got := c.makeRoom(); got != nil {
			t.Errorf("%q have ended, want none", got)
		}
		<-time.After(time.Millisecond)
		if got, want := c.makeRoom(), []string{"romeo@localhost/a"}; !slices.Equal(got, want) {
			t.Errorf("%q have ended, want %q", got, want)
		}
	})
}

// TestMakeRoomRestored: the queue of a session that was restored counts, too.
func TestMakeRoomRestored(t *testing.T) {
	c := newCrowd(t, 1<<20)
	var d sessiondata.Session
	d.Address, d.Number, d.Wait, d.Sent, d.Until = []byte("romeo@localhost/a"), 1, waitFull, 1, time.Now().Unix()+600
	d.Stanzas = []sessiondata.Stanza{{Text: sized(600 << 10), At: time.Now().UnixMilli()}}
	if err := c.m.restore(c.pipe(), sessiondata.AppendSession(nil, &d), &Restored{Server: true}); err != nil || c.m.Detached() != 1 {
		t.Fatalf("%v, %d sessions are detached", err, c.m.Detached())
	}
	c.add("juliet@localhost/a", 500<<10)
	if got, want := c.makeRoom(), []string{"romeo@localhost/a"}; !slices.Equal(got, want) {
		t.Errorf("%q have ended, want %q", got, want)
	}
	c.end(t)
}

// TestMakeRoomStarts: room is made without being told to, when a queue has grown, and when the
// limit has become smaller; and again while that is necessary.
func TestMakeRoomStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1<<20)
		c.m.large.busy.Store(false)
		expect := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := c.run(); !slices.Equal(got, want) {
				t.Errorf("%s: %q have ended, want %q", when, got, want)
			}
			synctest.Wait()
		}
		c.add("romeo@localhost/a", 600<<10)
		expect("with enough room")
		c.add("juliet@localhost/a", 400<<10)
		c.add("juliet@localhost/b", 100<<10)
		expect("when a queue has grown", "romeo@localhost/a")
		c.add("romeo@localhost/b", 610<<10)
		expect("within the interval")
		<-time.After(roomInterval)
		expect("after it", "romeo@localhost/b")
		<-time.After(roomInterval)
		synctest.Wait()
		if c.m.large.busy.Load() {
			t.Error("it continues though there is room")
		}
		cfg := c.m.config().Config
		cfg.UnackedMemory = 450 << 10
		c.m.SetConfig(cfg)
		expect("with a smaller limit", "juliet@localhost/a")
		<-time.After(roomInterval)
		c.end(t)
	})
}

// TestListedQueues: a queue is on the list from more than unackedShare down to less than half of that.
func TestListedQueues(t *testing.T) {
	const k = 1 << 10
	c := newCrowd(t, 1<<20)
	s := c.add("romeo@localhost/a")
	check := func(want int) {
		t.Helper()
		if got := c.m.large.all.Size(); got != want {
			t.Errorf("with %d bytes, %d queues are listed, want %d", s.cold.Load().queue().bytes(), got, want)
		}
	}
	send := func(n int) { s.SendBytes(c.m.turns[0], sized(n)) }
	ack := func(h int) { s.Data(0, fmt.Appendf(nil, "<a xmlns='urn:xmpp:sm:3' h='%d'/>", h)) }
	send(8*k - 1)
	send(8*k + 1)
	check(0)
	send(4 * k)
	check(1)
	ack(1)
	check(1)
	ack(2)
	check(0)
	send(13 * k)
	check(1)
	ack(4)
	check(0)
	c.end(t)
}
