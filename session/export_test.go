package session

import (
	"crypto/tls"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"roost/jid"
)

// NoConn is a connection that accepts all output and does nothing. Connections of tests
// embed it and override the methods they need.
type NoConn struct{}

func (NoConn) Queue([]byte) error              { return nil }
func (NoConn) Reserve()                        {}
func (NoConn) QueueReserved([]byte) error      { return nil }
func (NoConn) Messages() bool                  { return false }
func (NoConn) Flush() bool                     { return false }
func (NoConn) Queued() int                     { return 0 }
func (NoConn) Unconfirmed() int                { return 0 }
func (NoConn) Pause()                          {}
func (NoConn) Resume()                         {}
func (NoConn) Post(func(int))                  {}
func (NoConn) StartTLS(*tls.Config) error      { return nil }
func (NoConn) SetCloseCode(uint16)             {}
func (NoConn) Close(time.Duration)             {}
func (NoConn) SetDeadline(time.Duration)       {}
func (NoConn) Hold(int) bool                   { return true }
func (NoConn) Authenticated()                  {}
func (NoConn) Unplug() Socket                  { return nil }
func (c NoConn) Plug(Socket, any) (any, error) { return c, nil }
func (c NoConn) Vacant() any                   { return c }
func (NoConn) RemoteAddr() netip.AddrPort      { return netip.AddrPort{} }
func (NoConn) Secure() bool                    { return false }

func (NoConn) QueueMessages([]byte, []int, bool) error { return nil }

const adoptedHeader = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// Adopt makes a session on c that is bound to full without a negotiation, which would take
// too long for a million sessions. It returns the CPU time that the tables took.
func (m *Manager) Adopt(c Conn, full jid.JID) (s *Session, took time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t := m.turns[0]
	s = m.New(c)
	if c.Messages() {
		s.parser.Next(t.scratch, []byte(framingOpen))
		_ = s.parser.EndDocument(t.scratch)
	} else {
		s.parser.Next(t.scratch, []byte(adoptedHeader))
	}
	s.set(flagOpen | flagAuthed)
	began := threadTime()
	if _, _, reply := m.link(s, full, KickOld, true); reply != nil {
		panic(reply)
	}
	took = threadTime() - began
	m.unbound.Delete(s)
	s.cold.Store(nil)
	s.admit()
	worker := m.reads.newTurn()
	s.SetEvent(1 << 30) // newer than all events of its account
	if e := m.config().Router.OnBind(worker, s, KickOld); e != nil {
		panic(e)
	}
	s.unset(flagBinding)
	return s, took
}

// AdoptUnbound makes a session on c whose client has authenticated.
func (m *Manager) AdoptUnbound(c Conn, bare jid.JID) *Session {
	s := m.New(c)
	s.parser.Next(m.turns[0].scratch, []byte(adoptedHeader))
	s.cold.Store(nil)
	s.jid = bare.Compact()
	s.SetEvent(1 << 30)
	s.set(flagOpen | flagAuthed)
	return s
}

// Tapped reports whether the flag is set that says that the session has a Tap.
func (s *Session) Tapped() bool { return s.has(flagTapped) }

// MaxTapBytes is the limit of what is queued for the reader of a Tap.
const MaxTapBytes = maxTapBytes

// Memory returns the bytes that are queued.
func (p *Tap) Memory() int {
	p.taps.mu.Lock()
	defer p.taps.mu.Unlock()
	return p.bytes
}

// ThreadTime is threadTime.
func ThreadTime() time.Duration { return threadTime() }

// threadTime returns the CPU time used by this thread. Unlike the clock it does not count
// other processes, and unlike getrusage(2) it counts less than a tick of the kernel, which is
// 4 ms.
func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}

// PublishAll publishes an event of each kind.
func (s *Session) PublishAll() {
	s.publishLogin()
	s.publishFailure(nil, attemptWrong)
	s.publishEnd(endedClosed, nil)
}

// SetBeforeBatch sets for how many sessions Keep.Before is called at once until the test ends.
func SetBeforeBatch(t interface{ Cleanup(func()) }, n int) {
	was := beforeBatch
	beforeBatch = n
	t.Cleanup(func() { beforeBatch = was })
}

// SetSuspendBlock sets the size of the blocks that Suspend writes until the test ends.
func SetSuspendBlock(t interface{ Cleanup(func()) }, n int) {
	was := suspendBlock
	suspendBlock = n
	t.Cleanup(func() { suspendBlock = was })
}
