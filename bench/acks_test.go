package bench

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"roost/parser"
)

// TestClientAcks: a client with stream management acknowledges the stanzas that it has
// received since it was enabled, whenever the server asks, and asks the server after every
// five messages.
func TestClientAcks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cs := newTestClients(t, Config{Target: l.Addr().String(), Raw: true, SM: true})
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	if err := cs.Login(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	got := ""
	await := func(text string) {
		t.Helper()
		for !strings.Contains(got, text) {
			part, err := r.ReadString('>')
			if got += part; err != nil {
				t.Fatalf("%v before %q was received; have %q", err, text, got)
			}
		}
		got = ""
	}
	seen := make(chan string, 10)
	cs.setOnStanza(func(_ int, _ *Client, el parser.Element) { seen <- string(el.Local()) })
	const request = "<r xmlns='urn:xmpp:sm:3'/>"
	_, _ = io.WriteString(conn, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"+
		"<presence/><enabled xmlns='urn:xmpp:sm:3'/>"+request)
	await("<a xmlns='urn:xmpp:sm:3' h='0'/>")
	_, _ = io.WriteString(conn, "<message/><iq/>"+request+request+"<presence/>"+request)
	await("h='2'/>")
	await("h='2'/>")
	await("h='3'/>")
	for _, want := range []string{"presence", "message", "iq", "presence"} {
		if got := <-seen; got != want {
			t.Errorf("the scenario was passed <%s/>, want <%s/>", got, want)
		}
	}
	for range 5 {
		cs.All()[0].Message("x@localhost")
	}
	for range 4 {
		await("</message>")
	}
	await("</message>")
	if b, err := r.Peek(len(request)); string(b) != request {
		t.Errorf("after five messages: %q, %v", b, err)
	}
}
