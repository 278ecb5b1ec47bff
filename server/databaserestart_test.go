package server

import (
	"strings"
	"testing"

	"roost/internal/pgtest"
)

// TestDatabaseRestart: PostgreSQL is restarted, cleanly and as after a crash. All clients
// stay connected, messages between them arrive meanwhile, a request that needs the database
// waits for it, and afterwards everything works as before.
func TestDatabaseRestart(t *testing.T) {
	pg := pgtest.New(t)
	url := pg.URL(t)
	s := startServer(t, func(c *Config) { c.Store = url })
	romeo := connect(t, s).login("romeo", "r").available()
	juliet := connect(t, s).login("juliet", "j").available()
	const get = "<iq type='get' id='%'><query xmlns='jabber:iq:private'><a xmlns='x:%'/></query></iq>"
	const set = "<iq type='set' id='%'><query xmlns='jabber:iq:private'><a xmlns='x:%'>kept</a></query></iq>"
	numbered := func(text, id string) string { return strings.ReplaceAll(text, "%", id) }
	for _, id := range []string{"clean", "crash"} {
		romeo.ask(numbered(set, id), "id='"+id+"'")
		pg.Stop(t, id == "crash")

		// While a request waits, the session reads nothing else (RFC 6120 section 10.1).
		romeo.ask(numbered("<message type='chat' to='juliet@localhost/j'><body>during %</body></message><presence/>", id), "<presence from=")
		juliet.ask("", "during "+id)
		got := make(chan string, 1)
		go func() {
			defer close(got)
			got <- romeo.ask(numbered(get, "get-"+id), "id='get-"+id+"'")
		}()
		pg.Start(t)
		if text := <-got; !strings.Contains(text, "type='result'") {
			t.Errorf("the request gets %q", text)
		}
		if text := romeo.ask(numbered(get, id), "kept"); !strings.Contains(text, "type='result'") {
			t.Errorf("what was stored is %q", text)
		}
		nurse := connect(t, s).login("nurse", "n-"+id) // a login reads the database
		nurse.ask("<message type='chat' to='juliet@localhost/j'><body>after "+id+"</body></message>", "")
		juliet.ask("", "after "+id)
	}
	if n := s.sessions.Counts().Bound; n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
}
