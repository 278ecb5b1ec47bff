package bench

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// script is a server that follows a script: what it expects, and what it sends then, in turn.
// It runs for each connection, which stays open after it. What is expected may arrive in any
// pieces.
type script []string

// listen returns the server's address and its errors, one for each connection.
func (s script) listen(t *testing.T) (addr string, result <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	results := make(chan error, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			results <- s.run(conn)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	return l.Addr().String(), results
}

func (s script) run(conn net.Conn) error {
	r := bufio.NewReader(conn)
	for i := 0; i < len(s); i += 2 {
		got := ""
		for !strings.Contains(got, s[i]) {
			part, err := r.ReadString('>')
			if got += part; err != nil {
				return errors.New("received " + got + " instead of " + s[i])
			}
		}
		if i+1 < len(s) {
			if _, err := io.WriteString(conn, s[i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	openStream = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
	success2   = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>user0@localhost/made</authorization-identifier>"
	result     = "<iq type='result' id='roster'/>"
	features2  = openStream + "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline>" +
		"<bind xmlns='urn:xmpp:bind:0'/></inline></authentication></stream:features>"
)

// TestSASL2: with SASL2 and Bind 2, a client logs in and enables everything with one request,
// and uses the resource that the server has made. A server without SASL2 is an error.
func TestSASL2(t *testing.T) {
	for _, test := range []struct {
		desc   string
		script script
		want   string
	}{
		{"everything", script{">", features2,
			"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHVzZXIwAHNlY3JldA==</initial-response>" +
				"<bind xmlns='urn:xmpp:bind:0'><tag>bench</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:carbons:2'/></bind></authenticate>",
			success2 + "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='x' resume='1'/></bound></success><stream:features/>",
			"jabber:iq:roster", result, "<presence/>", "<r xmlns='urn:xmpp:sm:3'/>",
			"h='1'", "<presence/>", // the features are not a stanza
		}, ""},
		{"not enabled", script{">", features2, "</authenticate>",
			success2 + "<bound xmlns='urn:xmpp:bind:0'><failed xmlns='urn:xmpp:sm:3'/></bound></success>"}, errNoSM.Error()},
		{"no SASL2", script{">", openStream + "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>"}, errNoSASL2.Error()},
		{"TLS required", script{">", openStream + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"}, errNeedsTLS.Error()},
		{"refused", script{">", features2, "</authenticate>",
			"<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"}, "not-authorized"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			addr, result := test.script.listen(t)
			cs := newTestClients(t, Config{Target: addr, Mechanism: Plain, SASL2: true, SM: true, Carbons: true})
			err := cs.Login(t.Context(), 1)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
				return
			}
			if err := errors.Join(err, <-result); err != nil {
				t.Fatal(err)
			}
			if c := cs.All()[0]; c.FullJID() != "user0@localhost/made" || c.acks.id != "x" {
				t.Errorf("%s, to be resumed with %q", c.FullJID(), c.acks.id)
			}
		})
	}
}

// TestClientState: a client becomes inactive when it is available. A server that does not
// offer that, or that refuses carbons, is an error.
func TestClientState(t *testing.T) {
	login := func(features, carbons string) script {
		return script{">", openStream + "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>",
			"</auth>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
			">", openStream + "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" + features + "</stream:features>",
			"</iq>", "<iq type='result' id='bind'/>",
			"jabber:iq:roster", "<iq type='" + carbons + "' id='carbons'/>" + result, "<presence/>", "<presence/>"}
	}
	const csi = "<csi xmlns='urn:xmpp:csi:0'/>"
	for _, test := range []struct {
		script script
		want   error
	}{
		{append(login(csi, "result"), "<inactive xmlns='urn:xmpp:csi:0'/>"), nil},
		{login("", "result"), errNoCSI},
		{login(csi, "error"), errNoCarbons},
	} {
		addr, result := test.script.listen(t)
		cs := newTestClients(t, Config{Target: addr, Mechanism: Plain, CSI: true, Carbons: true})
		err := cs.Login(t.Context(), 1)
		if !errors.Is(err, test.want) {
			t.Errorf("%v, want %v", err, test.want)
		}
		if test.want == nil {
			if err := errors.Join(err, <-result); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestLoginBegins: the time of a login begins with connecting. Bug: it began when the client
// was connected, so that a server which was slow to accept connections looked fast.
func TestLoginBegins(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	cs := newTestClients(t, Config{Target: l.Addr().String()})
	c := &Client{clients: cs}
	if err := cs.dial(t.Context(), c); err == nil || c.started.IsZero() {
		t.Errorf("connecting: %v; the login began at %v", err, c.started)
	}
}
