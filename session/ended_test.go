package session_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"roost/internal/xmpptest"
)

// TestEnded: each ended session is counted once, under its reason, and logged in one line
// at debug level. At info level no line is about a single session.
func TestEnded(t *testing.T) {
	lines := make(lineLog, 100)
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 128 << 10,
		Logger: slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	want := map[string]int64{}
	f := func(reason string, end func()) {
		t.Helper()
		end()
		want[reason]++
		if line := lines.await("session ended"); !strings.Contains(line, " level=DEBUG ") || !strings.Contains(line, " reason="+reason) {
			t.Errorf("%s: the log line is %s", reason, line)
		}
		got := map[string]int64{}
		for _, e := range s.Sessions.Ended() {
			got[e.Reason] = e.Count
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after %s the counts are %v, want %v", reason, got, want)
		}
	}
	login := func(resource string) *saslClient {
		c := newSASLClient(t, s)
		c.sasl("auth mechanism='PLAIN'", "AHJvbWVvAHNlY3JldA==")
		c.ask(openStream, "</stream:features>")
		c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
		return c
	}
	f("closed", func() { login("a").ask("</stream:stream>", "</stream:stream>") })
	f("lost", func() { _ = login("b").conn.Close() })
	f("conflict", func() { login("c"); login("c") })
	f("host-unknown", func() {
		c := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
		c.ask(strings.Replace(openStream, "localhost", "elsewhere.example", 1), "</stream:stream>")
	})
	f("not-well-formed", func() { login("d").ask("<a></b>", "</stream:stream>") })
	f("slow-reader", func() {
		slow, big := login("e"), login("f")
		_ = slow
		body := strings.Repeat("x", 30<<10)
		for i := range 12 {
			big.ask(fmt.Sprintf("<message to='romeo@localhost/e'><body>%s</body></message>", body)+ping(fmt.Sprint("p", i)), fmt.Sprintf("id='p%d'", i))
		}
	})
}

// lineLog receives each line of a log.
type lineLog chan string

func (l lineLog) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// await skips lines at debug level without text, and returns the next other line.
func (l lineLog) await(text string) string {
	for {
		line := <-l
		if strings.Contains(line, text) || !strings.Contains(line, "level=DEBUG") {
			return line
		}
	}
}
