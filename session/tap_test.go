package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/parser"
	"roost/session"
)

// tapped logs a client in as romeo with this resource, and returns it with a Tap.
func tapped(t *testing.T, s *xmpptest.Server, resource string) (*saslClient, *session.Session, *session.Tap) {
	t.Helper()
	c := bindAs(t, s, openStream, resource)
	x := s.Sessions.Find("romeo@localhost", resource)
	p, err := s.Sessions.Tap(x)
	if err != nil {
		t.Fatal(err)
	}
	return c, x, p
}

func bindAs(t *testing.T, s *xmpptest.Server, header, resource string) *saslClient {
	t.Helper()
	c := newSASLClient(t, s)
	c.sasl("auth mechanism='PLAIN'", "AHJvbWVvAHNlY3JldA==")
	c.ask(header, "</stream:features>")
	c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
	c.ask(ping("ready"), "id='ready'")
	return c
}

// read returns n events.
func read(t *testing.T, p *session.Tap, n int) (all []session.TapEvent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), xmpptest.WaitLimit)
	defer cancel()
	for len(all) < n {
		some, err := p.Next(ctx)
		if err != nil {
			t.Fatalf("%v after %v", err, shown(all))
		}
		all = append(all, some...)
	}
	if len(all) != n {
		t.Fatalf("%q, want %d events", shown(all), n)
	}
	return all
}

// shown describes events.
func shown(all []session.TapEvent) (lines []string) {
	for _, e := range all {
		switch {
		case e.Ended != "":
			lines = append(lines, "ended "+e.Ended)
		case e.Sent:
			lines = append(lines, "S: "+string(e.XML))
		default:
			lines = append(lines, "C: "+string(e.XML))
		}
	}
	return lines
}

func wantEvents(t *testing.T, got []session.TapEvent, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", shown(got)) != fmt.Sprintf("%q", want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(shown(got), "\n"), strings.Join(want, "\n"))
	}
	for _, e := range got {
		if e.Time.IsZero() || e.Size != len(e.XML) || e.Lost != 0 {
			t.Errorf("%+v", e)
		}
	}
}

const pong = "<iq type='result' id='1' from='localhost' to='romeo@localhost/a'/>"

// TestTap: a Tap gets what its session receives and sends, in both directions and in order,
// each stanza once, however it was split, up to the end of the session and its reason; and
// nothing of other sessions.
func TestTap(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	header := strings.Replace(openStream, "xmlns='", "xmlns:r='urn:r&amp;' xmlns:unused='u' xmlns='", 1)
	bindAs(t, s, openStream, "other").ask(ping("1"), "id='1'")
	c := bindAs(t, s, header, "a")
	x := s.Sessions.Find("romeo@localhost", "a")
	if x.Tapped() {
		t.Error("it is tapped before it has a Tap")
	}
	p, err := s.Sessions.Tap(x)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, b := range []byte(ping("1")) {
		c.write(string(b))
	}
	wantEvents(t, read(t, p, 2), "C: "+ping("1"), "S: "+pong)
	c.ask(" "+ping("1")+ping("1"), pong)
	wantEvents(t, read(t, p, 4), "C: "+ping("1"), "S: "+pong, "C: "+ping("1"), "S: "+pong)

	c.write("<message to='romeo@localhost/a'><r:x/></message>")
	all := read(t, p, 2)
	wantEvents(t, all, "C: <message to='romeo@localhost/a'><r:x/></message>", "S: <message from='romeo@localhost/a' to='romeo@localhost/a' xmlns:r='urn:r&amp;'><r:x/></message>")
	if got := string(all[0].Scope); got != " xmlns='jabber:client' xmlns:r='urn:r&amp;'" {
		t.Errorf("scope %s", got)
	}
	if got := string(all[1].Scope); !strings.Contains(got, "xmlns:stream=") {
		t.Errorf("scope %s", got)
	}

	x.Close(session.ErrPolicyViolation)
	wantEvents(t, read(t, p, 3), "S: <stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", "S: </stream:stream>", "ended policy-violation")
	if x.Tapped() {
		t.Error("it is tapped after its end")
	}
}

// TestTapEnds: the last event has the reason why the session has ended.
func TestTapEnds(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 128 << 10})
	f := func(want string, end func(c *saslClient, x *session.Session, p *session.Tap)) {
		t.Helper()
		c, x, p := tapped(t, s, "a")
		defer p.Close()
		end(c, x, p)
		ctx, cancel := context.WithTimeout(t.Context(), xmpptest.WaitLimit)
		defer cancel()
		var all []session.TapEvent
		for len(all) == 0 || all[len(all)-1].Ended == "" {
			some, err := p.Next(ctx)
			if err != nil {
				t.Fatalf("%s: %v after %.200q", want, err, shown(all))
			}
			all = append(all, some...)
		}
		if got := strings.Join(shown(all), "\n"); !strings.HasSuffix(got, want) {
			t.Errorf("%.500q, want %q", got, want)
		}
		if x.Tapped() {
			t.Errorf("%s: it is still tapped", want)
		}
		_ = c.conn.Close()
		xmpptest.Eventually(t, "the session to end", func() bool { return s.Sessions.Find("romeo@localhost", "a") == nil })
	}
	f("C: </stream:stream>\nS: </stream:stream>\nended closed", func(c *saslClient, _ *session.Session, _ *session.Tap) { c.write("</stream:stream>") })
	f("ended lost", func(c *saslClient, _ *session.Session, _ *session.Tap) { _ = c.conn.Close() })
	f("S: </stream:stream>\nended not-well-formed", func(c *saslClient, _ *session.Session, _ *session.Tap) { c.write("<a></b>") })
	f("S: </stream:stream>\nended conflict", func(*saslClient, *session.Session, *session.Tap) {
		bindAs(t, s, openStream, "a").write("</stream:stream>")
	})
	f("ended by us", func(_ *saslClient, _ *session.Session, p *session.Tap) {
		p.End("by us")
		p.End("again")
	})
	f("ended slow-reader", func(*saslClient, *session.Session, *session.Tap) {
		big := bindAs(t, s, openStream, "big")
		for i := range 12 {
			big.ask(fmt.Sprintf("<message to='romeo@localhost/a'><body>%s</body></message>", strings.Repeat("x", 30<<10))+ping(fmt.Sprint("p", i)), fmt.Sprintf("id='p%d'", i))
		}
	})
}

// TestTapMemory: the reader of a Tap who does not read loses units, and is told how many.
// What waits for it is limited, and so is what is copied of a unit.
func TestTapMemory(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{Limits: parser.Limits{MaxStanza: 256 << 10}}})
	c, x, p := tapped(t, s, "a")
	defer p.Close()
	huge := "<message to='a@example.net' type='error'><body>" + strings.Repeat("x", 100<<10) + "</body></message>"
	c.ask(huge+ping("1"), "id='1'")
	const most = 64 << 10
	all := read(t, p, 3)
	if e := all[0]; e.Size != len(huge) || len(e.XML) != most || string(e.XML) != huge[:most] {
		t.Errorf("%d bytes of %d, want the first %d", len(e.XML), e.Size, most)
	}

	const flood = 40
	for range flood {
		c.ask(huge+ping("1"), "id='1'")
		if got := p.Memory(); got > session.MaxTapBytes {
			t.Fatalf("%d bytes wait", got)
		}
	}
	x.Close(nil)
	ctx, cancel := context.WithTimeout(t.Context(), xmpptest.WaitLimit)
	defer cancel()
	units, lost := 0, 0
	for ended := false; !ended; {
		some, err := p.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range some {
			lost += e.Lost
			if ended = e.Ended != ""; !ended {
				units++
			}
		}
	}
	if want := flood*3 + 1; units+lost != want || lost < flood/2 || units < session.MaxTapBytes/most {
		t.Errorf("%d units and %d lost, want %d", units, lost, want)
	}
	if got := p.Memory(); got != 0 && got != 160 {
		t.Errorf("%d bytes are left", got)
	}
}

// TestTapLimit: there may be only so many; a closed one makes room. A session may have
// several.
func TestTapLimit(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	c, x, first := tapped(t, s, "a")
	all := []*session.Tap{first}
	for len(all) < session.MaxTaps {
		p, err := s.Sessions.Tap(x)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if _, err := s.Sessions.Tap(x); !errors.Is(err, session.ErrTooManyTaps) {
		t.Errorf("%v", err)
	}
	c.ask(ping("1"), "id='1'")
	for i, p := range all {
		wantEvents(t, read(t, p, 2), "C: "+ping("1"), "S: "+pong)
		if p.Close(); s.Sessions.Taps() != len(all)-i-1 || x.Tapped() != (i < len(all)-1) {
			t.Errorf("%d Taps are left, tapped: %v", s.Sessions.Taps(), x.Tapped())
		}
	}
	c.ask(ping("1"), "id='1'") // nobody listens
	p, err := s.Sessions.Tap(x)
	if err != nil {
		t.Fatal(err)
	}
	x.Close(nil)
	wantEvents(t, read(t, p, 2), "S: </stream:stream>", "ended closed")
	if n := s.Sessions.Taps(); n != 1 {
		t.Errorf("%d, want one until it is closed", n)
	}
	p.Close()
	if _, err := s.Sessions.Tap(x); !errors.Is(err, session.ErrEnded) || s.Sessions.Taps() != 0 || x.Tapped() {
		t.Errorf("%v, %d Taps, tapped: %v", err, s.Sessions.Taps(), x.Tapped())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestTapWhileEnding: a Tap of a session that ends at the same time is refused, or gets the
// end.
func TestTapWhileEnding(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	for i := range 50 {
		c := bindAs(t, s, openStream, "a")
		x := s.Sessions.Find("romeo@localhost", "a")
		var done sync.WaitGroup
		if i%2 == 0 {
			done.Go(func() { x.Close(nil) })
		} else {
			done.Go(func() { _ = c.conn.Close() })
		}
		p, err := s.Sessions.Tap(x)
		switch {
		case errors.Is(err, session.ErrEnded):
		case err != nil:
			t.Error(err)
		default:
			all := read(t, p, map[bool]int{true: 2, false: 1}[i%2 == 0])
			if all[len(all)-1].Ended == "" {
				t.Errorf("%q", shown(all))
			}
			p.Close()
		}
		done.Wait()
		_ = c.conn.Close()
		xmpptest.Eventually(t, "the session to end", func() bool { return s.Sessions.Counts() == session.Counts{} })
		if x.Tapped() || s.Sessions.Taps() != 0 {
			t.Fatal("it is still tapped")
		}
	}
}

// TestTapBatch: of stanzas that are queued together each is an event; what is not sent is
// none.
func TestTapBatch(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	c, x, p := tapped(t, s, "a")
	defer p.Close()
	sent := make(chan bool)
	send := func() bool {
		s.Sessions.Go(session.Read, func(turn *session.Turn) {
			ok := x.SendBatch(turn, []byte("<iq id='1'/><iq id='23'/>"), []int{12, 25})
			sent <- x.TrySendBytes(turn, []byte("<iq id='4'/>")) && ok
		})
		return <-sent
	}
	if !send() {
		t.Error("it was not sent")
	}
	wantEvents(t, read(t, p, 3), "S: <iq id='1'/>", "S: <iq id='23'/>", "S: <iq id='4'/>")
	_ = c.conn.Close()
	read(t, p, 1)
	if send() {
		t.Error("it was sent after the end")
	}
	if p.Memory() != 0 {
		t.Error("there is an event after the end")
	}
}

// TestTapAcks: what stream management adds to a stream is copied, too, each stanza once.
func TestTapAcks(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	c, _, p := tapped(t, s, "a")
	defer p.Close()
	const enable, request, ack = "<enable xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>"
	c.ask(enable, "<enabled xmlns='urn:xmpp:sm:3'/>")
	wantEvents(t, read(t, p, 2), "C: "+enable, "S: <enabled xmlns='urn:xmpp:sm:3'/>")
	c.ask(ping("1"), request)
	wantEvents(t, read(t, p, 3), "C: "+ping("1"), "S: "+pong, "S: "+request)
	c.ask(request, ack)
	wantEvents(t, read(t, p, 2), "C: "+request, "S: "+ack)
}
