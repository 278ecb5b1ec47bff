package session_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"roost/internal/xmpptest"
	"roost/parser"
	"roost/router"
	"roost/session"
)

const (
	authPlain = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHJvbWVvAHNlY3JldA==</initial-response>" // romeo, open
	nsUnitA   = "urn:test:a"
)

// sasl2 sends a message of a SASL2 exchange, and returns the response: the name of the
// element, and its data or error condition.
func (c *saslClient) sasl2(element, inner string) (name, answer string) {
	c.t.Helper()
	name, _, _ = strings.Cut(element, " ")
	got := c.ask("<"+element+" xmlns='urn:xmpp:sasl:2'>"+inner+"</"+name+">"+c.after, ">")
	name, _, _ = strings.Cut(strings.TrimPrefix(got, "<"), " ")
	got = c.ask("", "</"+name+">")
	switch name {
	case "failure":
		answer, _, _ = strings.Cut(strings.TrimPrefix(got, "<"), " ")
		return name, answer
	case "success":
		_, got, _ = strings.Cut(got, "<additional-data>")
		got, _, _ = strings.Cut(got, "</additional-data>")
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(got, "</"+name+">"))
	if err != nil {
		c.t.Fatal(err)
	}
	return name, string(text)
}

// scram2 is scram with SASL2.
func (c *saslClient) scram2(mechanism string, hash scram.HashGeneratorFcn, user, password, authzid string) string {
	c.t.Helper()
	client, err := hash.NewClient(user, password, authzid)
	if err != nil {
		c.t.Fatal(err)
	}
	conv := client.NewConversation()
	first, err := conv.Step("")
	if err != nil {
		c.t.Fatal(err)
	}
	name, answer := c.sasl2("authenticate mechanism='"+mechanism+"'",
		"<initial-response>"+base64.StdEncoding.EncodeToString([]byte(first))+"</initial-response>")
	if name == "challenge" {
		final, err := conv.Step(answer)
		if err != nil {
			c.t.Fatalf("%s: %v", mechanism, err)
		}
		name, answer = c.sasl2("response", base64.StdEncoding.EncodeToString([]byte(final)))
	}
	if name == "failure" {
		return answer
	}
	if _, err := conv.Step(answer); err != nil || !conv.Valid() {
		c.t.Errorf("%s: the server's signature is not valid: %v", mechanism, err)
	}
	return ""
}

// TestSASL2SCRAM: as TestSCRAM, with SASL2. The server's signature is in <additional-data/>.
func TestSASL2SCRAM(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	for name, hash := range map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-1": scram.SHA1} {
		f := func(user, password, authzid, want string) {
			t.Helper()
			if got := newSASLClient(t, s).scram2(name, hash, user, password, authzid); got != want {
				t.Errorf("%s: %s with %q as %q: %q, want %q", name, user, password, authzid, got, want)
			}
		}
		f("romeo", "secret", "romeo@localhost", "")
		f("romeo", "wrong", "", "not-authorized")
		f("nobody", "secret", "", "not-authorized")
		f("romeo", "secret", "juliet@localhost", "invalid-authzid")
	}
}

// TestSASL2Limits: failures of both profiles count together, and their delays are the same.
func TestSASL2Limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuessing(t, session.Config{MaxFailures: 2, FailureDelay: time.Second})
		c := g.from("192.0.2.1")
		try := func(password, want string, delay time.Duration) {
			t.Helper()
			began := time.Now()
			_, got := c.sasl2("authenticate mechanism='PLAIN'", "<initial-response>"+plain("romeo", password)+"</initial-response>")
			if took := time.Since(began); got != want || took != delay {
				t.Errorf("%q after %v, want %q after %v", got, took, want, delay)
			}
		}
		try("wrong", "not-authorized", time.Second)
		if got := c.plain("romeo", "wrong"); got != "not-authorized" {
			t.Error(got)
		}
		try("secret", "temporary-auth-failure", 8*time.Second)
		_ = c.conn.Close()
	})
}

// TestInline: what a client requests together with its authentication is handled after it,
// on a worker of the kind that it needs, and before binding. What is enabled with the
// binding is handled when the resource is bound.
func TestInline(t *testing.T) {
	type call struct {
		what         string
		write, bound bool
		jid          string
	}
	calls := make(chan call, 10)
	note := func(what string, turn *session.Turn, s *session.Session) {
		calls <- call{what, turn.MayWrite(), s.Bound(), s.JID().String()}
	}
	s := xmpptest.NewServer(t, xmpptest.Config{Router: router.Config{Extensions: []router.Extension{{
		Name: "test", Title: "a test",
		Features: []session.Feature{{
			Space: nsUnitA,
			Inline: &session.Inline{
				Offer: func(_ *session.Session, b []byte) []byte { return append(b, "<a xmlns='"+nsUnitA+"'/>"...) },
				Needs: func(_ *session.Session, el parser.Element) session.Work {
					if string(el.Local()) == "write" {
						return session.Write
					}
					return session.Done
				},
				Handle: func(turn *session.Turn, s *session.Session, el parser.Element, b []byte) []byte {
					note(string(el.Local()), turn, s)
					return append(b, "<done xmlns='"+nsUnitA+"'/>"...)
				},
			},
		}, {
			Space: "urn:test:b",
			Enable: func(turn *session.Turn, s *session.Session, el parser.Element, b []byte) []byte {
				note("enable "+string(el.Local()), turn, s)
				return append(b, "<enabled xmlns='urn:test:b'/>"...)
			},
		}},
	}}}})
	f := func(request, wantSuccess string, want ...call) {
		t.Helper()
		c := &saslClient{fuzzClient: fuzzClient{t, dial(t, s)}}
		defer c.conn.Close()
		features := c.ask(openStream, "</stream:features>")
		for _, offer := range []string{
			"<inline><bind xmlns='urn:xmpp:bind:0'><inline>", "<feature var='urn:test:b'/></inline></bind>", "<a xmlns='urn:test:a'/></inline></authentication>",
		} {
			if !strings.Contains(features, offer) {
				t.Errorf("features %s, want %s", features, offer)
			}
		}
		got := c.ask(authPlain+request+"</authenticate>", "</stream:features>")
		got, _, _ = strings.Cut(got, "<stream:features>")
		for i, w := range want {
			h := <-calls
			h.write = h.write && w.write // binding may need such a worker, too
			if strings.HasSuffix(w.jid, "*") && strings.HasPrefix(h.jid, strings.TrimSuffix(w.jid, "*")) {
				w.jid = h.jid
				wantSuccess = strings.ReplaceAll(wantSuccess, "{jid}", h.jid)
			}
			if h != w {
				t.Errorf("%s: call %d is %+v, want %+v", request, i, h, w)
			}
		}
		if w := "<success xmlns='urn:xmpp:sasl:2'>" + wantSuccess + "</success>"; got != w {
			t.Errorf("%s:\ngot  %s\nwant %s", request, got, w)
		}
	}
	const (
		id   = "<authorization-identifier>romeo@localhost</authorization-identifier>"
		full = "<authorization-identifier>{jid}</authorization-identifier>"
		done = "<done xmlns='urn:test:a'/>"
	)
	f("<bind xmlns='urn:test:c'/>", id)
	f("<x xmlns='urn:test:a'/>", id+done, call{"x", false, false, "romeo@localhost"})
	f("<write xmlns='urn:test:a'/>", id+done, call{"write", true, false, "romeo@localhost"})
	// The other request comes first, wherever it is.
	f("<bind xmlns='urn:xmpp:bind:0'><e xmlns='urn:test:b'/></bind><x xmlns='urn:test:a'/>",
		full+done+"<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:test:b'/></bound>",
		call{"x", false, false, "romeo@localhost"}, call{"enable e", false, false, "romeo@localhost/*"})
}

// TestInlineResume: a request to resume a session comes first, wherever it is. If it
// succeeds, the earlier session gets <success/> with what follows, in one step, and nothing
// else that the client has requested is handled. If not, the rest is handled as if there had
// been no such request.
func TestInlineResume(t *testing.T) {
	const old = "romeo@localhost/old"
	calls := make(chan string, 10)
	var server *xmpptest.Server
	server = xmpptest.NewServer(t, xmpptest.Config{Router: router.Config{Extensions: []router.Extension{{
		Name: "test", Title: "a test",
		Features: []session.Feature{{
			Space: nsUnitA,
			Inline: &session.Inline{
				Offer: func(_ *session.Session, b []byte) []byte { return append(b, "<a xmlns='"+nsUnitA+"'/>"...) },
				Needs: func(*session.Session, parser.Element) session.Work { return session.Read },
				Resume: func(turn *session.Turn, s *session.Session, el parser.Element, success session.AppendSuccess, failed func(*session.Turn, []byte)) {
					calls <- "resume " + string(el.Attr("id"))
					if turn.MayBlock() || s.Bound() || s.JID().String() != "romeo@localhost" {
						t.Errorf("on a worker %v, bound %v, of %s", turn.MayBlock(), s.Bound(), s.JID())
					}
					switch string(el.Attr("id")) {
					case "1":
						s.SendBytes(turn, success(nil, old, []byte("<resumed xmlns='urn:test:a'/>")))
						s.SendBytes(turn, []byte("<message/>")) // it stands for what was missed
						s.Close(nil)
					case "2":
						failed(turn, []byte("<failed xmlns='urn:test:a'/>"))
					default: // later, as after an answer of another loop
						server.Sessions.Offload(turn, s, session.Write, func(turn *session.Turn) { failed(turn, []byte("<failed xmlns='urn:test:a'/>")) })
					}
				},
			},
		}, {
			Space: "urn:test:b",
			Inline: &session.Inline{
				Offer: func(_ *session.Session, b []byte) []byte { return b },
				Handle: func(_ *session.Turn, _ *session.Session, _ parser.Element, b []byte) []byte {
					calls <- "other"
					return append(b, "<other xmlns='urn:test:b'/>"...)
				},
			},
		}},
	}}}})
	f := func(request, want string, wantCalls ...string) {
		t.Helper()
		c := newSASLClient(t, server)
		defer c.conn.Close()
		got := c.ask(authPlain+request+"</authenticate></stream:stream>", "</stream:stream>")
		head, token, issued := strings.Cut(got, " expiry='")
		if issued {
			_, token, _ = strings.Cut(token, "/>")
			got = head + "/>" + token
		}
		got, _, _ = strings.Cut(got, "<stream:features>")
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", request, got, want)
		}
		for _, want := range wantCalls {
			if got := <-calls; got != want {
				t.Errorf("%s: %q was handled, want %q", request, got, want)
			}
		}
		if len(calls) > 0 {
			t.Errorf("%s: %q was handled, too", request, <-calls)
		}
	}
	success := func(jid, results string) string {
		return "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>" + jid + "</authorization-identifier>" + results + "</success>"
	}
	const (
		other   = "<x xmlns='urn:test:b'/>"
		resume  = "<resume xmlns='urn:test:a' id='1'/>"
		expired = "<resume xmlns='urn:test:a' id='2'/>"
		later   = "<resume xmlns='urn:test:a' id='3'/>"
		bind    = "<bind xmlns='urn:xmpp:bind:0'/>"
		agent   = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
		resumed = "<resumed xmlns='urn:test:a'/>"
		failed  = "<failed xmlns='urn:test:a'/>"
	)
	f(bind+other+resume, success(old, resumed)+"<message/></stream:stream>", "resume 1")
	f(resume+expired, success(old, resumed)+"<message/></stream:stream>", "resume 1")
	f(resume+agent, success(old, "<token xmlns='urn:xmpp:fast:0'/>"+resumed)+"<message/></stream:stream>", "resume 1")
	f(expired, success("romeo@localhost", failed), "resume 2")
	f(later+other, success("romeo@localhost", failed+"<other xmlns='urn:test:b'/>"), "resume 3", "other")
	f("<other xmlns='urn:test:a'/>", success("romeo@localhost", "")) // the feature has no other requests
	f(other+expired+resume, success("romeo@localhost", failed+"<other xmlns='urn:test:b'/>"), "resume 2", "other")
	id := newSASLClient(t, server)
	got := id.ask(authPlain+agent[:strings.Index(agent, "<request")]+bind+expired+"</authenticate>", "</success>")
	if !strings.HasSuffix(got, failed+"<bound xmlns='urn:xmpp:bind:0'></bound></success>") {
		t.Errorf("a resource is bound in the same flight: %s", got)
	}
	if got := <-calls; got != "resume 2" {
		t.Error(got)
	}
	_ = id.conn.Close()
}

// TestFeaturesAfterLogin: what was negotiated together with the login is not offered again.
func TestFeaturesAfterLogin(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	f := func(request string, binding, management bool) {
		t.Helper()
		c := newSASLClient(t, s)
		defer c.conn.Close()
		_, features, _ := strings.Cut(c.ask(authPlain+request+"</authenticate>", "</stream:features>"), "<stream:features>")
		for offer, want := range map[string]bool{"<bind ": binding, "<session ": binding, "<sm ": management, "<authentication ": false, "<mechanisms ": false} {
			if strings.Contains(features, offer) != want {
				t.Errorf("after %q: %s offered %v, want %v: %s", request, offer, !want, want, features)
			}
		}
	}
	f("", true, true)
	f("<bind xmlns='urn:xmpp:bind:0'/>", false, true)
	f("<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3'/></bind>", false, false)
}
