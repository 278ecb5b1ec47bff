package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"
	"regexp"
	"strings"
	"testing"
)

// flights counts the flights of a client: writes after which it has read.
type flights struct {
	net.Conn
	n    int
	read bool // since the last write
}

func (f *flights) Write(p []byte) (int, error) {
	if f.n == 0 || f.read {
		f.n++
		f.read = false
	}
	return f.Conn.Write(p)
}

func (f *flights) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.read = f.read || n > 0
	return n, err
}

// TestFlights: a client with a token and a TLS session to resume sends all that it needs
// with the end of the handshake, and has its resource, stream management and carbons, and is
// available, one round trip later. If it has a session to resume, it has its session and what
// it has missed after one round trip, or, if that session has ended, a new one. There is no
// 0-RTT.
func TestFlights(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS, c.Session.AllowPlaintext = "127.0.0.1:0", false })
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: new(anyTicket)}
	connect := func() (*flights, *peer, tls.ConnectionState) {
		t.Helper()
		conn, err := net.Dial("tcp", s.Addrs()[1].Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		f := &flights{Conn: conn}
		c := tls.Client(f, cfg)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return f, &peer{t: t, conn: c}, c.ConnectionState()
	}
	const mechanism = "HT-SHA-256-EXPR"
	login := func(mechanism, message, more string) string {
		return testHeader + "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" +
			base64.StdEncoding.EncodeToString([]byte(message)) + "</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>" + more + "</authenticate>"
	}
	_, p, _ := connect()
	got := p.ask(login("PLAIN", "\x00romeo\x00secret", "<request-token xmlns='urn:xmpp:fast:0' mechanism='"+mechanism+"'/>"), "</success>")
	if !strings.Contains(got, "<sm xmlns='urn:xmpp:sm:3'/></inline></authentication>") {
		t.Errorf("resumption is not offered: %s", got)
	}
	token := regexp.MustCompile(` token='([^']+)'`).FindStringSubmatch(got)
	if token == nil {
		t.Fatalf("no token: %s", got)
	}

	var last *peer
	// flight logs in by the token, and returns what the server sends up to until.
	flight := func(request, after, until string, want ...string) string {
		t.Helper()
		f, p, state := connect()
		if !state.DidResume || f.n != 2 {
			t.Fatalf("TLS session resumed: %v; %d flights", state.DidResume, f.n)
		}
		last = p
		h := hmac.New(sha256.New, []byte(token[1]))
		h.Write([]byte("Initiator"))
		h.Write(bindingOf(t, state).Data)
		got := p.ask(login(mechanism, "romeo\x00"+string(h.Sum(nil)), "<fast xmlns='urn:xmpp:fast:0'/>"+request)+after, until)
		_, got, _ = strings.Cut(got, "</stream:features>") // those before the login
		for _, want := range want {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
		if f.n != 2 {
			t.Errorf("%d flights of the client, want 2: the ClientHello, and the end of the handshake with everything else", f.n)
		}
		return got
	}
	const bind = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:carbons:2'/></bind>"
	got = flight(bind, "<presence/>", "<presence", "<success ", "<bound ", "<enabled ", "</stream:features>")
	id := regexp.MustCompile(` id='([^']+)'`).FindStringSubmatch(got[strings.Index(got, "<enabled "):])

	// The client has lost its connection, which the server has not noticed.
	_, juliet, _ := connect()
	juliet.login("juliet", "j").ask("<message to='romeo@localhost' type='chat'><body>missed</body></message>"+
		"<iq type='get' id='sent' to='juliet@localhost/j'><ping xmlns='urn:xmpp:ping'/></iq>", "id='sent'")
	resume := "<resume xmlns='urn:xmpp:sm:3' h='1' previd='" + id[1] + "'/>" + bind
	if got = flight(resume, "", "</message>", "<success ", "<resumed ", ">missed<"); strings.Contains(got, "<bound ") || strings.Contains(got, "<stream:features>") {
		t.Errorf("a resource or features with a resumed session: %s", got)
	}
	last.ask("</stream:stream>", "</stream:stream>")
	flight(resume, "<presence/>", "<presence", "<success ", "<failed ", "<bound ", "<enabled ", "</stream:features>")
}
