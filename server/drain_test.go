package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/job"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
)

func drain(ctx context.Context, c *api.Client, q api.DrainRequest) (d api.Drain, err error) {
	return d, c.Do(ctx, http.MethodPost, api.PathDrain, nil, q, &d)
}

func abortDrain(ctx context.Context, c *api.Client) (d api.Drain, err error) {
	return d, c.Do(ctx, http.MethodDelete, api.PathDrain, nil, nil, &d)
}

// drained waits until all clients have left.
func drained(t *testing.T, c *api.Client) (d api.Drain) {
	t.Helper()
	xmpptest.Eventually(t, "all clients have left", func() bool {
		if err := c.Get(t.Context(), api.PathDrain, nil, &d); err != nil {
			t.Fatal(err)
		}
		return d.State == api.DrainDone
	})
	return d
}

// ready reports what a load balancer is told.
func ready(t *testing.T, c *api.Client) bool {
	t.Helper()
	var h api.Health
	if err := c.Get(t.Context(), api.PathReady, nil, &h); err != nil {
		t.Fatal(err)
	}
	return h.OK
}

// rest reads what is left of a stream, to its end.
func (p *peer) rest() string {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	b, err := io.ReadAll(p.conn)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		p.t.Error(err)
	}
	_ = p.conn.Close()
	return p.have.String() + string(b)
}

const (
	shutdownError = "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
	sayNothing    = "</stream:error></stream:stream>"
)

// TestDrain: clients are sent elsewhere, over TLS to the other host; new ones are refused,
// until the drain is aborted.
func TestDrain(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS = "127.0.0.1:0" })
	c := adminOf(t, s)
	if err := c.Get(t.Context(), api.PathDrain, nil, nil); err == nil || !strings.Contains(err.Error(), "no drain since") {
		t.Errorf("before the first: %v", err)
	}
	if _, err := abortDrain(t.Context(), c); err == nil || !strings.Contains(err.Error(), "there is no drain") {
		t.Errorf("an abort without a drain: %v", err)
	}
	secure, plain := directTLS(t, s, tls.VersionTLS13).login("romeo", "secure"), connect(t, s).login("romeo", "plain")
	half, early, silent := connect(t, s).authenticate("juliet"), directTLS(t, s, tls.VersionTLS12), connect(t, s)
	early.ask(testHeader, "</stream:features>")
	xmpptest.Eventually(t, "all five are accepted", func() bool { return s.clients() == 5 })
	if !ready(t, c) {
		t.Error("not ready")
	}
	d, err := drain(t.Context(), c, api.DrainRequest{To: "2001:DB8::1", Text: "We <move>."})
	if err != nil || d.State != api.DrainRunning || d.Clients != 5 || d.To != "[2001:db8::1]" || d.OverSeconds != 0.005 || d.Actor == "" {
		t.Errorf("%+v %v", d, err)
	}
	const text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>We &lt;move&gt;.</text>" + sayNothing
	other := "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[2001:db8::1]</see-other-host>" + text
	for p, want := range map[*peer]string{secure: other, early: other, plain: shutdownError + text, half: shutdownError + text, silent: shutdownError + text} {
		if got := p.rest(); !strings.HasSuffix(got, want) || strings.Count(got, "<stream:error>") != 1 {
			t.Errorf("%s, want %s at the end", got, want)
		}
	}
	if d = drained(t, c); d.Ended != 5 || d.Remaining != 0 || d.EndedAt == nil {
		t.Errorf("%+v", d)
	}
	for _, a := range s.Addrs()[:2] {
		if conn, err := net.Dial("tcp", a.Addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v %v, want that it is refused", a.Addr, conn, err)
		}
	}
	var st api.Status
	if err := c.Get(t.Context(), api.PathStatus, nil, &st); err != nil || st.State != api.Draining || ready(t, c) {
		t.Errorf("%+v %v", st, err)
	}
	if _, err := drain(t.Context(), c, api.DrainRequest{}); err == nil || !strings.Contains(err.Error(), "the server is draining") {
		t.Errorf("a second one: %v", err)
	}
	if d, err = abortDrain(t.Context(), c); err != nil || d.State != api.DrainAborted || d.Ended != 5 || !ready(t, c) {
		t.Errorf("%+v %v", d, err)
	}
	connect(t, s).login("romeo", "again")
	directTLS(t, s, tls.VersionTLS13).login("juliet", "again")
	if d, err = drain(t.Context(), c, api.DrainRequest{}); err != nil || d.Clients != 2 || d.Ended > 2 {
		t.Errorf("again: %+v %v", d, err)
	}
}

// fakeTicks has drains and other long actions make a step when the test sends to the
// channel.
func fakeTicks(t *testing.T) chan<- time.Time {
	c := make(chan time.Time)
	t.Cleanup(func() { newTicker = time.NewTicker }) // after the server has ended
	newTicker = func(d time.Duration) *time.Ticker {
		ticker := time.NewTicker(d)
		if d == job.Interval {
			ticker.C = c
		}
		return ticker
	}
	return c
}

// TestDrainOrder: clients leave evenly over the time, those that were heard of last first;
// each gets one stream error.
func TestDrainOrder(t *testing.T) {
	const clients, inStep = 250, 10
	tick := fakeTicks(t)
	s := startServer(t, func(c *Config) { c.Session.MaxResources = clients })
	now := time.Now()
	// The resource is the idle time in seconds.
	idle := func(x *session.Session) int {
		seconds, err := strconv.Atoi(x.Resource())
		if err != nil {
			t.Error(err)
		}
		return seconds
	}
	s.drains.lastRead = func(x *session.Session) time.Time { return now.Add(-time.Duration(idle(x)) * time.Second) }
	peers := make(map[int]*peer)
	for i := range clients {
		seconds := i * 101 % clients * 5
		peers[seconds] = connect(t, s).login("romeo", strconv.Itoa(seconds))
	}
	c := adminOf(t, s)
	if d, err := drain(t.Context(), c, api.DrainRequest{OverSeconds: clients / inStep * job.Interval.Seconds()}); err != nil || d.Clients != clients {
		t.Fatalf("%+v %v", d, err)
	}
	left := make(map[int]int) // the step in which each client has left
	for step := range clients / inStep {
		tick <- now
		xmpptest.Eventually(t, "those that leave in this step have left", func() bool {
			return s.sessions.Counts().Bound == clients-(step+1)*inStep
		})
		stays := make(map[int]bool)
		s.sessions.Each(func(x *session.Session) bool { stays[idle(x)] = true; return true })
		for seconds := range peers {
			if _, before := left[seconds]; !before && !stays[seconds] {
				left[seconds] = step
			}
		}
	}
	for a, first := range left {
		for b, later := range left {
			if first > later && b > a+a/4+5*clients/maxWalks+10 {
				t.Errorf("a client that was idle for %d s left in step %d, after one that was for %d s, in step %d", a, first, b, later)
			}
		}
	}
	xmpptest.Eventually(t, "the drain is done", func() bool {
		select {
		case tick <- now: // it may look once more
		default:
		}
		d, _ := s.DrainStatus()
		return d.State == api.DrainDone && d.Ended == clients
	})
	for seconds, p := range peers {
		if got := p.rest(); strings.Count(got, "<stream:error>") != 1 || !strings.HasSuffix(got, shutdownError+sayNothing) {
			t.Errorf("%d: %s", seconds, got)
		}
	}
}

// TestDrainMeanwhile: a client that binds a resource while others leave leaves too.
func TestDrainMeanwhile(t *testing.T) {
	tick := fakeTicks(t)
	s := startServer(t, nil)
	bound, half := connect(t, s).login("juliet", "r"), connect(t, s).authenticate("romeo")
	c := adminOf(t, s)
	if _, err := drain(t.Context(), c, api.DrainRequest{OverSeconds: 2 * job.Interval.Seconds()}); err != nil {
		t.Fatal(err)
	}
	half.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
	go func() {
		for {
			select {
			case tick <- time.Now():
			case <-t.Context().Done():
				return
			}
		}
	}()
	bound.ask("", shutdownError)
	half.ask("", shutdownError)
	if d := drained(t, c); d.Clients != 2 || d.Ended != 2 {
		t.Errorf("%+v", d)
	}
}

// TestDrainAbort: an abort leaves the clients alone that have not left yet.
func TestDrainAbort(t *testing.T) {
	s := startServer(t, nil)
	romeo, half := connect(t, s).login("romeo", "r"), connect(t, s).authenticate("juliet")
	c := adminOf(t, s)
	if d, err := drain(t.Context(), c, api.DrainRequest{OverSeconds: maxDrainTime.Seconds()}); err != nil || d.State != api.DrainRunning {
		t.Fatalf("%+v %v", d, err)
	}
	if d, err := abortDrain(t.Context(), c); err != nil || d.State != api.DrainAborted || d.Ended != 0 || d.Remaining != 2 {
		t.Errorf("%+v %v", d, err)
	}
	romeo.ask(pingServer, "id='p'")
	half.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
	connect(t, s).login("romeo", "new")
}

// TestDrainScheduled: until its time a drain changes nothing.
func TestDrainScheduled(t *testing.T) {
	s := startServer(t, nil)
	c := adminOf(t, s)
	begin := time.Now().Add(time.Hour)
	if d, err := drain(t.Context(), c, api.DrainRequest{Begin: &begin}); err != nil || d.State != api.DrainScheduled || !d.Begin.Equal(begin) || !ready(t, c) {
		t.Errorf("%+v %v", d, err)
	}
	connect(t, s).login("romeo", "r")
	if _, err := drain(t.Context(), c, api.DrainRequest{}); err == nil || !strings.Contains(err.Error(), "scheduled already") {
		t.Errorf("another one: %v", err)
	}
	if d, err := abortDrain(t.Context(), c); err != nil || d.State != api.DrainAborted {
		t.Errorf("%+v %v", d, err)
	}
	begin = time.Now().Add(-time.Hour)
	if _, err := drain(t.Context(), c, api.DrainRequest{Begin: &begin}); err != nil {
		t.Fatal(err)
	}
	drained(t, c)
}

// TestDrainThenStop: a stop does not wait for a drain; and a drain may stop the program.
func TestDrainThenStop(t *testing.T) {
	s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Session: session.Config{AllowPlaintext: true}})
	if err != nil {
		t.Fatal(err)
	}
	early := connect(t, s)
	early.ask(testHeader, "</stream:features>")
	if _, err := drain(t.Context(), adminOf(t, s), api.DrainRequest{OverSeconds: maxDrainTime.Seconds(), Exit: true}); err != nil {
		t.Fatal(err)
	}
	go func() { early.rest() }()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-s.Exit():
		t.Error("the drain counts as done")
	default:
	}

	s = startServer(t, nil)
	c := adminOf(t, s)
	for range 2 { // Bug: if nothing had stopped the server, a second drain crashed it
		if _, err := drain(t.Context(), c, api.DrainRequest{Exit: true}); err != nil {
			t.Fatal(err)
		}
		drained(t, c)
		<-s.Exit()
		if _, err := abortDrain(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
}

// TestDrainPassedSocket: a socket that a service manager has passed stays open; its
// connections are reset, until the drain is aborted.
func TestDrainPassedSocket(t *testing.T) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(c *Config) { c.C2S, c.Sockets.C2S = "", []*net.TCPListener{nl.(*net.TCPListener)} })
	c := adminOf(t, s)
	if _, err := drain(t.Context(), c, api.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	drained(t, c)
	conn, err := net.Dial("tcp", s.Addrs()[0].Addr.String())
	if err == nil { // otherwise the reset was faster
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
	if _, err := abortDrain(t.Context(), c); err != nil {
		t.Error(err)
	}
	connect(t, s).login("romeo", "r")
}

// TestDrainAddressTaken: if the address is in use when a drain is aborted, the error says
// so, and the abort can be repeated.
func TestDrainAddressTaken(t *testing.T) {
	s := startServer(t, nil)
	c := adminOf(t, s)
	if _, err := drain(t.Context(), c, api.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	drained(t, c)
	other, err := net.Listen("tcp", s.Addrs()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := abortDrain(t.Context(), c); err == nil || !strings.Contains(err.Error(), "cannot listen again") || ready(t, c) {
		t.Errorf("%v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := abortDrain(t.Context(), c); err != nil || !ready(t, c) {
		t.Errorf("%v", err)
	}
	connect(t, s).login("romeo", "r")
}

// TestDrainWrong: what is wrong with a request is told, and who may only read cannot drain.
func TestDrainWrong(t *testing.T) {
	s, c, reader := startWithReader(t, nil)
	later := time.Now().Add(31 * 24 * time.Hour)
	for want, q := range map[string]api.DrainRequest{
		"over_seconds must be 0 to": {OverSeconds: -1},
		"text must be at most 200":  {Text: strings.Repeat("x", 201)},
		"begin must be at most 30":  {Begin: &later},
		`"a b" is not a host`:       {To: "a b"},
	} {
		if _, err := drain(t.Context(), c, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	if _, err := drain(t.Context(), reader, api.DrainRequest{}); err == nil || !strings.Contains(err.Error(), "needs write") {
		t.Error(err)
	}
	if _, err := abortDrain(t.Context(), reader); err == nil || !strings.Contains(err.Error(), "needs write") {
		t.Error(err)
	}
	if err := reader.Get(t.Context(), api.PathDrain, nil, nil); err == nil || !strings.Contains(err.Error(), "no drain since") {
		t.Error(err)
	}
	connect(t, s).login("romeo", "r")
}

// TestOtherHost: hosts are put into the form of RFC 6120 section 4.9.3.19.
func TestOtherHost(t *testing.T) {
	for in, want := range map[string]string{
		"XMPP2.example.org": "xmpp2.example.org", "xmpp2.example.org:5222": "xmpp2.example.org:5222",
		"192.0.2.1": "192.0.2.1", "192.0.2.1:5222": "192.0.2.1:5222",
		"2001:41D0:1:A49b::1": "[2001:41d0:1:a49b::1]", "[2001:db8::1]": "[2001:db8::1]", "[2001:db8::1]:9222": "[2001:db8::1]:9222",
		"a b": "", "": "", "host:": "", "host:0": "", "host:http": "", "host:65536": "", "romeo@example.org": "", "host/path": "", ":5222": "", "[::1": "", "2001:db8::x": "",
	} {
		if got, ok := otherHost(in); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
	}
}

// TestIdleBuckets: each idle time is in the bucket whose limits it is between, and buckets
// are narrow.
func TestIdleBuckets(t *testing.T) {
	for s := range uint64(200000) {
		b := bucketOf(s)
		if s >= bucketEnd(b) || b > 0 && s < bucketEnd(b-1) {
			t.Fatalf("%d s is in bucket %d, which ends at %d", s, b, bucketEnd(b))
		}
		if wide := bucketEnd(b) - s; wide > s/4+1 {
			t.Fatalf("bucket %d of %d s ends at %d", b, s, bucketEnd(b))
		}
	}
	if b := bucketOf(1 << 62); b != len(idleBuckets{})-1 || bucketEnd(b) != 8<<30 {
		t.Errorf("%d %d", b, bucketEnd(b))
	}
}

// TestDrainKeeps: without another host, a drain leaves sessions that can be resumed, and a
// stop after it saves them; a message that is sent to one meanwhile arrives after the restart. With
// another host, they end, and the message is stored.
func TestDrainKeeps(t *testing.T) {
	for _, to := range []string{"", "xmpp2.example.org"} {
		dir := t.TempDir()
		s, stop := restartable(t, func(c *Config) { c.DataDir = dir })
		r := connect(t, s).login("romeo", "r").available()
		id := r.enableResume()
		j := connect(t, s).login("juliet", "j")
		j.ask("<message type='chat' to='romeo@localhost' id='m0'><body>b</body></message>"+"<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='ping'")
		r.ask("", "<body>b</body>")
		if d, err := s.StartDrain(&api.DrainRequest{To: to}, "test"); err != nil || d.Clients != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		for _, p := range []*peer{r, j} {
			p.ask("", "</stream:stream>")
			_, _ = p.conn.Write([]byte("</stream:stream>"))
			_ = p.conn.Close()
		}
		xmpptest.Eventually(t, "the drain is done", func() bool {
			d, _ := s.DrainStatus()
			return d.State == api.DrainDone && d.Ended == 2 && d.Remaining == 0
		})
		stop()
		s, _ = restartable(t, func(c *Config) { c.DataDir = dir })
		r = connect(t, s).authenticate("romeo")
		resume := "<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>"
		want := 0 // stored messages
		if to == "" {
			if got := r.ask(resume, "</message>"); !strings.Contains(got, "<resumed ") || !slices.Equal(numbersIn(t, got), []int{0}) {
				t.Errorf("received %s", got)
			}
		} else {
			want = 1
			if got := r.ask(resume, "</failed>"); !strings.Contains(got, "<item-not-found ") {
				t.Errorf("received %s", got)
			}
		}
		if n, err := s.store.CountOffline(t.Context(), jid.MustParse("romeo@localhost")); n != want || err != nil {
			t.Errorf("to %q: %d messages are stored, want %d, %v", to, n, want, err)
		}
	}
}
