//go:build interop

package interop

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lineTimeout limits the wait for an expected line of a client.
const lineTimeout = 20 * time.Second

// lineClient is a client program that reads stanzas and commands, and writes stanzas and
// events, one per line (see strophe/client.c).
type lineClient struct {
	t     *testing.T
	label string
	in    io.WriteCloser
	log   *logBuffer // the library's log, complete when the client has ended
	ended chan struct{}

	mu    sync.Mutex
	lines []string      // received and not taken yet
	more  chan struct{} // closed and replaced when a line is received
	trace []string      // all lines, to be logged after a failure
	eof   bool
	full  string // the bound full JID
}

// startLines starts a line client, which is stopped when t ends.
func startLines(t *testing.T, s *server, binary, jid, secret, mode string) *lineClient {
	t.Helper()
	address := s.starttls
	if mode == "direct" {
		address = s.direct
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, jid, secret, host, port, s.ca, mode)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c := &lineClient{t: t, label: jid, log: new(logBuffer), ended: make(chan struct{}), more: make(chan struct{})}
	cmd.Stderr = c.log
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		eachLine(out, c.received)
		c.received("")
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		c.in.Close()
		select {
		case <-c.ended:
		case <-time.After(lineTimeout):
			_ = cmd.Process.Kill()
			<-c.ended
		}
		if t.Failed() {
			t.Logf("--- %s:\n%s\n--- its library:\n%s", c.label, strings.Join(c.trace, "\n"), c.log.tail())
		}
	})
	return c
}

// received is called with each line of the client, and with "" at its end.
func (c *lineClient) received(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if line == "" {
		c.eof = true
	} else {
		c.lines = append(c.lines, line)
		c.trace = append(c.trace, "S: "+line)
	}
	close(c.more)
	c.more = make(chan struct{})
}

// send sends one line to the client: a stanza or a command.
func (c *lineClient) send(format string, args ...any) {
	c.t.Helper()
	line := fmt.Sprintf(format, args...)
	c.mu.Lock()
	c.trace = append(c.trace, "C: "+line)
	c.mu.Unlock()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatalf("%s: %v", c.label, err)
	}
}

// take waits for the first line that matches, and removes it.
func (c *lineClient) take(what string, matches func(string) bool) string {
	c.t.Helper()
	timeout := time.After(lineTimeout)
	for {
		c.mu.Lock()
		for i, line := range c.lines {
			if matches(line) {
				c.lines = append(c.lines[:i:i], c.lines[i+1:]...)
				c.mu.Unlock()
				return line
			}
		}
		more, eof, rest := c.more, c.eof, strings.Join(c.lines, "\n")
		c.mu.Unlock()
		if eof {
			c.t.Fatalf("%s ended before %s; it has:\n%s", c.label, what, rest)
		}
		select {
		case <-more:
		case <-timeout:
			c.t.Fatalf("%s: timeout while waiting for %s; it has:\n%s", c.label, what, rest)
		}
	}
}

// event waits for the event line that starts with name, and returns its other words.
func (c *lineClient) event(name string) []string {
	c.t.Helper()
	line := c.take(name, func(line string) bool { return strings.HasPrefix(line, name) })
	return strings.Fields(line)[1:]
}

// closed waits until the connection and the client have ended, and returns the words of the
// event "@closed".
func (c *lineClient) closed() []string {
	c.t.Helper()
	words := c.event("@closed")
	select {
	case <-c.ended:
	case <-time.After(lineTimeout):
		c.t.Fatalf("%s did not end", c.label)
	}
	return words
}

// connected waits until the session is bound, and checks that it uses TLS.
func (c *lineClient) connected() *lineClient {
	c.t.Helper()
	words := c.event("@connected")
	if len(words) != 2 || words[1] != "1" {
		c.t.Fatalf("%s: connected as %q, want a JID and TLS", c.label, words)
	}
	c.full, c.label = words[0], words[0]
	return c
}

// expect waits for the first stanza that matches.
func (c *lineClient) expect(what string, matches func(*stanza) bool) *stanza {
	c.t.Helper()
	var found *stanza
	c.take(what, func(line string) bool {
		if !strings.HasPrefix(line, "<") {
			return false
		}
		x, err := parseStanza(line)
		if err != nil {
			c.t.Fatalf("%s: %v: %s", c.label, err, line)
		}
		found = x
		return matches(x)
	})
	return found
}

// response waits for the result or error with this id.
func (c *lineClient) response(id string) *stanza {
	c.t.Helper()
	return c.expect("the response to "+id, func(x *stanza) bool {
		return x.name() == "iq" && x.attr("id") == id && (x.attr("type") == "result" || x.attr("type") == "error")
	})
}

// ask sends an iq that has this id, and waits for its result.
func (c *lineClient) ask(id, format string, args ...any) *stanza {
	c.t.Helper()
	c.send(format, args...)
	x := c.response(id)
	if x.attr("type") != "result" {
		c.t.Fatalf("%s: the response to %s is an error", c.label, id)
	}
	return x
}

// presence waits for presence of this type ("" is available) from a JID. A bare JID matches
// each of its resources.
func (c *lineClient) presence(kind, from string) *stanza {
	c.t.Helper()
	return c.expect(fmt.Sprintf("presence %q from %s", kind, from), func(x *stanza) bool {
		sender := x.attr("from")
		if bare, _, _ := strings.Cut(sender, "/"); !strings.Contains(from, "/") {
			sender = bare
		}
		return x.name() == "presence" && x.attr("type") == kind && sender == from
	})
}

// message waits for a message with this body.
func (c *lineClient) message(body string) *stanza {
	c.t.Helper()
	return c.expect(fmt.Sprintf("a message %q", body), func(x *stanza) bool {
		return x.name() == "message" && x.child("body").text() == body
	})
}

// push waits for a roster push of jid with this subscription.
func (c *lineClient) push(jid, subscription string) *stanza {
	c.t.Helper()
	return c.expect("a push of "+jid+" "+subscription, func(x *stanza) bool {
		item := x.child("query").child("item")
		return x.name() == "iq" && x.attr("type") == "set" && item.attr("jid") == jid && item.attr("subscription") == subscription
	})
}

// barrier waits until other has received everything that c has sent to it.
func (c *lineClient) barrier(other *lineClient) {
	c.t.Helper()
	body := "barrier-" + uniqueName()
	c.send("<message to='%s' type='normal'><body>%s</body></message>", other.full, body)
	other.message(body)
}

// bodies returns the bodies of the chat messages that were received and not taken, in order.
func (c *lineClient) bodies() (bodies []string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.lines {
		if x, err := parseStanza(line); err == nil && x.name() == "message" && x.attr("type") == "chat" {
			bodies = append(bodies, x.child("body").text())
		}
	}
	return bodies
}

// nothing fails if a received stanza matches. It proves something only after a barrier.
func (c *lineClient) nothing(what string, matches func(*stanza) bool) {
	c.t.Helper()
	c.mu.Lock()
	lines := append([]string(nil), c.lines...)
	c.mu.Unlock()
	for _, line := range lines {
		if x, err := parseStanza(line); err == nil && matches(x) {
			c.t.Errorf("%s received %s: %s", c.label, what, line)
		}
	}
}

// stanza is an element that a client has printed. All methods may be called on nil, which
// means that there is no element.
type stanza struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []*stanza  `xml:",any"`
}

func parseStanza(line string) (*stanza, error) {
	x := new(stanza)
	return x, xml.Unmarshal([]byte(line), x)
}

func (x *stanza) name() string {
	if x == nil {
		return ""
	}
	return x.XMLName.Local
}

func (x *stanza) text() string {
	if x == nil {
		return ""
	}
	return x.Text
}

func (x *stanza) attr(name string) string {
	if x != nil {
		for _, a := range x.Attrs {
			if a.Name.Local == name {
				return a.Value
			}
		}
	}
	return ""
}

func (x *stanza) child(name string) *stanza {
	if x != nil {
		for _, c := range x.Children {
			if c.XMLName.Local == name {
				return c
			}
		}
	}
	return nil
}

// condition returns the defined condition of an error stanza.
func (x *stanza) condition() string {
	const stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	if e := x.child("error"); e != nil {
		for _, c := range e.Children {
			if c.XMLName.Space == stanzas && c.XMLName.Local != "text" {
				return c.XMLName.Local
			}
		}
	}
	return ""
}
