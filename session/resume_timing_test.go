package session_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"roost/session"
)

// BenchmarkMillionResume lets a million clients, each bound and available, with stream
// management and everything acknowledged, lose their connections, and resume their sessions as
// fast as possible. ROOST_CROWD sets another number. It reports
//
//	B/detached      heap use of a detached session, without its connection
//	detach-µs       CPU time to detach a session
//	detach-max-ms   the most that one took, with all that the tables did
//	resume-µs       CPU time of a resumption, without the login and without sockets
//	resume-max-ms   the most that one took, with all that the tables did
//	busy-max-ms     the most that one of as many steps took that only compute: in a virtual
//	                machine, what the host takes from a thread counts as its CPU time
//	last/third      CPU time of the last tenth of the resumptions by that of the third tenth;
//	                the first ones find memory that is free already
func BenchmarkMillionResume(b *testing.B) {
	n := 1000000
	if v, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil && v > 20 {
		n = v
	}
	for b.Loop() {
		r := resumeAll(b, n)
		us := func(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
		b.ReportMetric(float64(r.heap)/float64(n)-resumeConnSize, "B/detached")
		b.ReportMetric(us(r.detach.total(), n), "detach-µs")
		b.ReportMetric(us(r.detach.longest, 1000), "detach-max-ms")
		b.ReportMetric(us(r.resume.total(), n), "resume-µs")
		b.ReportMetric(us(r.resume.longest, 1000), "resume-max-ms")
		b.ReportMetric(us(busy(n).longest, 1000), "busy-max-ms")
		b.ReportMetric(float64(r.resume.tenths[9])/float64(r.resume.tenths[2]), "last/third")
	}
	b.ReportMetric(0, "ns/op")
}

// TestManyResume: the benchmark's clients resume all of their sessions.
func TestManyResume(t *testing.T) { resumeAll(t, 300) }

// resumeConn is a simConn whose socket can be taken away.
type resumeConn struct {
	simConn
	socket simSocket // nil: it has none
}

// resumeConnSize is the heap size of a resumeConn, in bytes.
const resumeConnSize = 32

type simSocket interface{ Close(time.Duration) }

type openSocket struct{}

func (openSocket) Close(time.Duration) {}

func newResumeConn(c *simServer) *resumeConn {
	return &resumeConn{simConn: simConn{server: c}, socket: openSocket{}}
}

func (k *resumeConn) Unplug() session.Socket {
	if k.socket == nil {
		return nil // not an interface that holds nil
	}
	x := k.socket
	k.socket = nil
	return x
}

func (k *resumeConn) Plug(x session.Socket, _ any) (any, error) {
	k.socket = x
	return k, nil
}

func (k *resumeConn) Vacant() any { return k }

func (k *resumeConn) QueueReserved(p []byte) error { return k.Queue(p) }

// effort is the CPU time of many steps of the same kind.
type effort struct {
	tenths  [10]time.Duration
	longest time.Duration
}

func (e *effort) total() (sum time.Duration) {
	for _, d := range e.tenths {
		sum += d
	}
	return sum
}

// measure calls f for each of n sessions, on one thread and without garbage collection, whose
// work would be counted where it happens to fall.
func (e *effort) measure(n int, f func(i int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	last := session.ThreadTime()
	for i := range n {
		f(i)
		now := session.ThreadTime()
		e.tenths[i*10/n] += now - last
		e.longest = max(e.longest, now-last)
		last = now
	}
}

// busy measures steps that take about as long as a resumption, and use no memory.
func busy(n int) (e effort) {
	p := make([]byte, 16<<10)
	e.measure(n, func(int) { sha256.Sum256(p) })
	return e
}

type resumeFigures struct {
	heap           int // bytes, of the detached sessions
	detach, resume effort
}

func resumeAll(tb testing.TB, n int) (r resumeFigures) {
	c := newSimServer(tb, n, 0)
	c.sessions.AddFeatures(session.StreamManagement)
	resume := make([][]byte, n) // the elements that clients send
	sessions := make([]*session.Session, n)
	answer := ""
	before := readHeap()
	for i := range n {
		s := c.enterOn(newResumeConn(c), i)
		c.hook = func(_ *simConn, p []byte) { answer = string(p) }
		c.say(s, []byte("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"))
		c.hook = nil
		c.say(s, []byte("<presence/>"))
		c.say(s, []byte("<a xmlns='urn:xmpp:sm:3' h='1'/>"))
		_, id, ok := bytes.Cut([]byte(answer), []byte(" id='"))
		if id, _, _ = bytes.Cut(id, []byte("'")); !ok {
			tb.Fatalf("received %q", answer)
		}
		resume[i] = fmt.Appendf(nil, "<resume xmlns='urn:xmpp:sm:3' previd='%s' h='1'/>", id)
		sessions[i] = s
	}
	own := n * cap(resume[0])
	r.detach.measure(n, func(i int) {
		sessions[i].Conn().(*resumeConn).socket = nil
		sessions[i].Closed(0, io.ErrUnexpectedEOF)
		c.settle()
	})
	r.heap = int(readHeap().bytes) - int(before.bytes) - own
	if got := c.sessions.Stats().Acks; got.Waiting != int64(n) {
		tb.Fatalf("%+v, want %d detached sessions", got, n)
	}
	r.resume.measure(n, func(i int) {
		s := c.sessions.AdoptUnbound(newResumeConn(c), member(i))
		s.Data(0, resume[i])
		c.settle()
	})
	if got := c.sessions.Stats().Acks; got.Waiting != 0 || got.Resumed != int64(n) || got.Refused != 0 {
		tb.Errorf("%+v, want %d resumed sessions", got, n)
	}
	if got := c.sessions.Counts(); got.Bound != n || got.Unbound != 0 {
		tb.Errorf("%+v, want %d bound", got, n)
	}
	return r
}

// settle ends the turn, and runs what was posted.
func (c *simServer) settle() {
	c.sessions.EndTurn(0)
	for len(c.posted) > 0 {
		(<-c.posted)(0)
		c.sessions.EndTurn(0)
	}
}
