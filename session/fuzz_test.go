package session_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
)

// FuzzStream sends arbitrary input on a new stream or on an authenticated one, split in two
// at any place, while another client logs in and out. The server must not panic, must
// continue to serve, and must have released everything when all clients have closed and no
// session waits to be resumed, which the test server checks when it stops.
func FuzzStream(f *testing.F) {
	for _, line := range dialogueLines(f) {
		f.Add([]byte(line), uint16(len(line)/2), true)
		f.Add([]byte(openStream+line), uint16(len(openStream)+1), false)
		if strings.Contains(line, "urn:xmpp:sm:3") {
			const enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
			f.Add([]byte(enable+"<presence/>"+line+"<r xmlns='urn:xmpp:sm:3'/>"), uint16(len(enable)+1), true)
		}
	}
	// Some inputs are logins with a wrong password. They must not prevent those of the test.
	s := xmpptest.NewServer(f, xmpptest.Config{Session: session.Config{MaxFailures: -1}})
	f.Fuzz(func(t *testing.T, in []byte, cut uint16, loggedIn bool) {
		c := fuzzClient{t, dial(t, s)}
		if loggedIn {
			c.login("romeo")
		}
		at := min(int(cut), len(in))
		c.write(string(in[:at]))
		c.write(string(in[at:]))
		// Either the stream has ended, or the closing tag is read as part of what the input
		// left open. The connection is closed in either case.
		c.write("</stream:stream>")
		other := fuzzClient{t, dial(t, s)}
		other.login("juliet")
		other.write("</stream:stream>")
		other.drain()
		_ = other.conn.Close()
		_ = c.conn.Close()
		awaitNone(t, s)
	})
}

// awaitNone waits until no session is left. It ends those that wait to be resumed.
func awaitNone(t *testing.T, s *xmpptest.Server) {
	t.Helper()
	xmpptest.Eventually(t, "no session is left", func() bool {
		s.Sessions.Each(func(x *session.Session) bool {
			if x.Detached() {
				x.Close(nil)
			}
			return true
		})
		return s.Sessions.Counts() == session.Counts{}
	})
}

// FuzzSASL2 sends arbitrary content in <authenticate/>, cut at any place. {id} in it names a
// session that the client may resume. Instead of a mechanism, "task" means that the client has
// authenticated and has the task to add keys; it sends the content and what follows. The server must not panic, must answer or end the
// stream, and must have released everything when the client has closed.
func FuzzSASL2(f *testing.F) {
	for _, in := range []string{
		"", "<initial-response>AHJvbWVvAHNlY3JldA==</initial-response>",
		"<initial-response>AHJvbWVvAHNlY3JldA==</initial-response><bind xmlns='urn:xmpp:bind:0'><tag>t</tag></bind>",
		"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><initial-response>AHJvbWVvAHNlY3JldA==</initial-response>" +
			"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>",
		"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>s</software></user-agent><bind xmlns='urn:xmpp:bind:0'/>",
		"<initial-response>AHJvbWVvAHNlY3JldA==</initial-response><bind xmlns='urn:xmpp:bind:0'><inactive xmlns='urn:xmpp:csi:0'/><enable xmlns='urn:xmpp:carbons:2'/></bind>",
	} {
		f.Add("PLAIN", in, "<abort xmlns='urn:xmpp:sasl:2'/>", uint16(len(in)))
	}
	f.Add("SCRAM-SHA-1", "<initial-response>biwsbj1yb21lbyxyPWFiYw==</initial-response>", "<response xmlns='urn:xmpp:sasl:2'>YQ==</response>", uint16(10))
	f.Add("HT-SHA-256-NONE", "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><initial-response>cm9tZW8AaGFzaA==</initial-response>"+
		"<fast xmlns='urn:xmpp:fast:0' count='1' invalidate='true'/>", "", uint16(100))
	for _, resume := range []string{
		"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{id}'/>", "<resume xmlns='urn:xmpp:sm:3' h='9' previd='{id}'/>", "<resume xmlns='urn:xmpp:sm:3' previd='{id}x'/>",
		"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>" +
			"<bind xmlns='urn:xmpp:bind:0'/><resume xmlns='urn:xmpp:sm:3' h='1' previd='{id}'/>",
	} {
		f.Add("PLAIN", "<initial-response>AHJvbWVvAHNlY3JldA==</initial-response>"+resume, "<presence/><r xmlns='urn:xmpp:sm:3'/>", uint16(200))
	}
	for _, in := range []string{nextTask, nextTask + taskHash, taskHash, nextTask + "<task-data xmlns='urn:xmpp:sasl:2'/>", "<abort xmlns='urn:xmpp:sasl:2'/>"} {
		f.Add("task", in, "<presence/>", uint16(len(in)/2))
	}
	for _, upgrade := range []string{"UPGR-SCRAM-SHA-256", "UPGR-SCRAM-SHA-1", "UPGR-", ""} {
		f.Add("PLAIN", "<initial-response>AHBhcmlzAHNlY3JldA==</initial-response><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>"+upgrade+"</upgrade>", nextTask, uint16(9))
	}
	for _, line := range dialogueLines(f) {
		f.Add("PLAIN", "", line, uint16(3))
	}
	config := withKeys(f, store.SHA1, "paris")
	config.Session.MaxFailures = -1 // as in FuzzStream
	s := xmpptest.NewServer(f, config)
	f.Fuzz(func(t *testing.T, mechanism, in, after string, cut uint16) {
		if strings.Contains(in, "{id}") {
			in = strings.ReplaceAll(in, "{id}", lostSession(t, s))
		}
		var c fuzzClient
		var text string
		if mechanism == "task" {
			if _, err := s.Store.SetCredentials(t.Context(), jid.MustParse("paris@localhost"), store.AnyEvent, oldKeys(t, store.SHA1), true); err != nil {
				t.Fatal(err)
			}
			c, text = upgradeTo(t, s).fuzzClient, in+after
		} else {
			c = fuzzClient{t, dial(t, s)}
			c.await(openStream, "</stream:features>")
			text = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'>" + in + "</authenticate>" + after
		}
		at := min(int(cut), len(text))
		c.write(text[:at])
		c.write(text[at:])
		c.write("</stream:stream>")
		_ = c.conn.Close()
		awaitNone(t, s)
	})
}

// lostSession makes a session that has lost its connection, and returns its resumption ID.
func lostSession(t testing.TB, s *xmpptest.Server) string {
	c := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
	c.ask(openStream, "</stream:features>")
	c.login("romeo")
	got := c.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "/>")
	_, id, _ := strings.Cut(got, " id='")
	id, _, _ = strings.Cut(id, "'")
	_ = c.conn.Close()
	xmpptest.Eventually(t, "the session is detached", func() bool { return s.Sessions.Stats().Acks.Waiting == 1 })
	return id
}

// dialogueLines returns all lines that clients send in the dialogues of this package, of
// package router, of stream management and of client state.
func dialogueLines(f *testing.F) (lines []string) {
	for _, pattern := range []string{"testdata/*.txt", "testdata/upgrade/*.txt", "../router/testdata/*.txt", "../xep/testdata/sm.txt", "../xep/testdata/resume*.txt", "../xep/testdata/clientstate*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no dialogues match %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, line := range strings.Split(string(text), "\n") {
				if _, said, ok := strings.Cut(line, " C: "); ok && len(said) < 1000 && !strings.HasPrefix(line, "#") {
					lines = append(lines, said)
				}
			}
		}
	}
	return lines
}

func dial(t testing.TB, s *xmpptest.Server) net.Conn {
	conn, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(xmpptest.WaitLimit))
	return conn
}

type fuzzClient struct {
	t    testing.TB
	conn net.Conn
}

// write sends text. The server may already have ended the stream.
func (c fuzzClient) write(text string) { _, _ = io.WriteString(c.conn, text) }

func (c fuzzClient) login(user string) {
	plain := map[string]string{"romeo": "AHJvbWVvAHNlY3JldA==", "juliet": "AGp1bGlldABzZWNyZXQ="}[user]
	c.await(openStream, "</stream:features>")
	c.await("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", "<success")
	c.await(openStream, "</stream:features>")
	c.await("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
	c.await("<presence/>", "<presence")
}

func (c fuzzClient) await(text, want string) {
	c.write(text)
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), want) {
		n, err := c.conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			c.t.Fatalf("%v while waiting for %q; got %q", err, want, got.String())
		}
	}
}

// drain reads until the server has closed the connection.
func (c fuzzClient) drain() {
	if _, err := io.Copy(io.Discard, c.conn); err != nil && !errors.Is(err, io.EOF) {
		c.t.Fatal(err)
	}
}
