package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/unixsock"
	"roost/internal/xmpptest"
	"roost/session"
)

// tracing is a trace that a test reads.
type tracing struct {
	t      testing.TB
	next   func() (api.TraceLine, error, bool)
	cancel context.CancelFunc
	first  api.TraceLine
	text   string // of all lines that were read
}

// tracePath is the path of the trace of a session.
func tracePath(j string) string {
	return strings.Replace(api.PathTrace, "{jid}", url.PathEscape(j), 1)
}

// trace begins a trace.
func trace(t testing.TB, c *api.Client, j, query string) *tracing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), xmpptest.WaitLimit)
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(api.Stream[api.TraceLine](ctx, c, http.MethodPost, tracePath(j), values, nil))
	t.Cleanup(func() { cancel(); stop() })
	r := &tracing{t: t, next: next, cancel: cancel}
	if r.first = r.line(); r.first.Kind != api.TraceBegin {
		t.Fatalf("the trace begins with %+v", r.first)
	}
	return r
}

// line returns the next line.
func (r *tracing) line() api.TraceLine {
	r.t.Helper()
	l, err, ok := r.next()
	if err != nil || !ok {
		r.t.Fatalf("%v %v after %s", err, ok, r.text)
	}
	r.text += fmt.Sprintf("%s %s%s\n", l.Kind, l.XML, l.Reason)
	return l
}

// until reads up to a line with this text.
func (r *tracing) until(want string) api.TraceLine {
	r.t.Helper()
	for {
		if l := r.line(); strings.Contains(l.XML+l.Reason, want) {
			return l
		}
	}
}

// end checks that nothing follows.
func (r *tracing) end() {
	r.t.Helper()
	if l, err, more := r.next(); more {
		r.t.Errorf("after the end: %+v %v", l, err)
	}
}

// TestTrace: a trace shows what one session sends and receives, and nothing of others; text
// only if it was requested, and credentials never.
func TestTrace(t *testing.T) {
	s := startServer(t, nil)
	romeo, juliet := connect(t, s).login("romeo", "a").available(), connect(t, s).login("juliet", "b").available()
	c := adminOf(t, s)
	hidden, full := trace(t, c, "romeo@localhost/a", ""), trace(t, c, "romeo@localhost", "bodies=true&seconds=3600")
	for _, r := range []*tracing{hidden, full} {
		if f := r.first; f.JID != "romeo@localhost/a" || f.Until == nil || !f.Until.After(f.Time) {
			t.Errorf("%+v", f)
		}
	}
	if got := hidden.first.Until.Sub(hidden.first.Time).Minutes(); got != 5 {
		t.Errorf("it ends after %v minutes", got)
	}
	juliet.ask("<message to='juliet@localhost/b'><body>elsewhere</body></message>", "elsewhere")
	const said = "<message to='juliet@localhost/b' id='m1'><body>where&#102;ore</body></message>"
	romeo.ask(said+"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' name='wherefore'/></query></iq>", "id='r'")
	juliet.ask("<message to='romeo@localhost/a' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"+
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'><![CDATA[wherefore]]></text></error></message>"+pingServer, "id='p'")
	for _, secret := range []string{
		"<iq type='set' id='s1' to='localhost'><query xmlns='jabber:iq:register'><username>romeo</username><password/><x>Capulet</x></query></iq>",
		"<iq type='set' id='s2' to='localhost'><a:query xmlns:a='jabber:iq:auth'><a:password>Capulet</a:password></a:query></iq>",
		"<iq type='set' id='s3' to='juliet@localhost/b'><x xmlns='urn:x' token='Capulet'/></iq>",
	} {
		romeo.ask(secret+pingServer, "id='p'")
	}
	romeo.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>Capulet</auth>", "</stream:stream>")
	for _, r := range []*tracing{hidden, full} {
		l := r.until("m1")
		if l.Kind != api.TraceReceived || l.Bytes != int64(len(said)) || l.Lost != 0 || l.Time.Before(r.first.Time) {
			t.Errorf("%+v", l)
		}
		if l := r.until("<stream:error>"); l.Kind != api.TraceSent {
			t.Errorf("%+v", l)
		}
		if l := r.until("</stream:stream>"); l.Kind != api.TraceSent || l.Bytes != 16 {
			t.Errorf("%+v", l)
		}
		last := r.line()
		if last.Kind != api.TraceEnd || last.Reason == "" || !strings.Contains(r.text, "sent <stream:error><"+last.Reason) {
			t.Errorf("%+v, and before it\n%s", last, r.text)
		}
		r.end()
		for _, secret := range []string{"Capulet", "elsewhere"} {
			if strings.Contains(r.text, secret) {
				t.Errorf("%s is shown:\n%s", secret, r.text)
			}
		}
		for _, id := range []string{"id='s1'", "id='s2'", "id='s3'", "received <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='***'>***</auth>"} {
			if !strings.Contains(r.text, id) {
				t.Errorf("%s is missing:\n%s", id, r.text)
			}
		}
	}
	if strings.Contains(hidden.text, "where") || !strings.Contains(hidden.text, "<message to='juliet@localhost/b' id='m1'><body>…</body></message>") || !strings.Contains(hidden.text, "name='…'") {
		t.Errorf("with text hidden:\n%s", hidden.text)
	}
	if !strings.Contains(full.text, "received "+said) || strings.Count(full.text, "wherefore") < 3 {
		t.Errorf("with text:\n%s", full.text)
	}
	xmpptest.Eventually(t, "the traces to end", func() bool { return s.sessions.Taps() == 0 })
}

// TestTraceEnds: a trace ends when its time is up and when its reader leaves, and then the
// session is not traced any more; and with the server.
func TestTraceEnds(t *testing.T) {
	s := startServer(t, nil)
	connect(t, s).login("romeo", "a")
	c := adminOf(t, s)
	none := func() bool { return s.sessions.Taps() == 0 }

	r := trace(t, c, "romeo@localhost/a", "seconds=0.01")
	if l := r.line(); l.Kind != api.TraceEnd || l.Reason != api.TraceTimeUp {
		t.Errorf("%+v", l)
	}
	r.end()
	xmpptest.Eventually(t, "the trace to end", none)

	r = trace(t, c, "romeo@localhost/a", "")
	if n := s.sessions.Taps(); n != 1 {
		t.Errorf("%d Taps", n)
	}
	r.cancel()
	xmpptest.Eventually(t, "the trace to end", none)

	r = trace(t, c, "romeo@localhost/a", "")
	if err := s.admin.Close(); err != nil {
		t.Error(err)
	}
	if _, err, _ := r.next(); err == nil || !strings.Contains(err.Error(), "the server stops") {
		t.Errorf("%v", err)
	}
	xmpptest.Eventually(t, "the trace to end", none)
}

// TestTraceRefused: wrong input, no permission, and too many. Each trace is audited when it
// begins.
func TestTraceRefused(t *testing.T) {
	file, audit := filepath.Join(t.TempDir(), admin.TokensName), filepath.Join(t.TempDir(), "audit")
	tokens := make(map[admin.Scope]string)
	for _, scope := range []admin.Scope{admin.ScopeRead, admin.ScopeWrite} {
		var err error
		if tokens[scope], err = admin.AddToken(file, string(scope), scope); err != nil {
			t.Fatal(err)
		}
	}
	s := startServer(t, func(c *Config) { c.Admin.Addr, c.Admin.Tokens, c.Admin.Audit = "127.0.0.1:0", file, audit })
	remote := func(scope admin.Scope) *api.Client {
		c, err := api.Remote("http://"+s.admin.Addr().String(), tokens[scope], nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	for _, resource := range []string{"a", "b"} {
		connect(t, s).login("romeo", resource)
	}
	connect(t, s).authenticate("nurse")
	local := adminOf(t, s)
	f := func(c *api.Client, j, query string, status int, want string) {
		t.Helper()
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range api.Stream[api.TraceLine](t.Context(), c, http.MethodPost, tracePath(j), values, nil) {
			var e *api.Error
			if !errors.As(err, &e) || e.Status != status || !strings.Contains(e.Message+e.Hint, want) {
				t.Errorf("%s?%s: %v, want %d and %q", j, query, err, status, want)
			}
			return
		}
		t.Errorf("%s?%s: the stream is empty", j, query)
	}
	const full = "romeo@localhost/a"
	for query, want := range map[string]string{
		"seconds=0": "above 0 and at most 3600", "seconds=3601": "at most 3600", "seconds=x": "at most 3600", "seconds=NaN": "at most 3600",
		"bodies=1": "bodies must be true or false", "bodies=": "bodies is empty", "body=true": `no parameter "body"`,
	} {
		f(local, full, query, 400, want)
	}
	f(local, "romeo@localhost/none", "", 404, "there is no session")
	f(local, "juliet@localhost", "", 404, "juliet@localhost has no session")
	f(local, "nurse@localhost", "", 404, "has no session")
	f(local, "localhost", "", 400, "not the full JID")
	f(local, "a@b@c", "", 400, "not the full JID")
	f(local, "romeo@localhost", "", 409, "use the full JID of one: ")
	f(remote(""), full, "", 401, "no token")
	f(remote(admin.ScopeRead), full, "", 403, "needs write")
	if n := s.sessions.Taps(); n != 0 {
		t.Errorf("%d Taps", n)
	}

	var all []*tracing
	for i := range session.MaxTaps {
		c := local
		if i == 0 {
			c = remote(admin.ScopeWrite)
		}
		all = append(all, trace(t, c, full, "bodies=true"))
	}
	f(local, full, "", 503, "there are 8 traces already")
	if n := scrape(t, local)["roost_traces"]; n != session.MaxTaps {
		t.Errorf("roost_traces %v, want %d", n, session.MaxTaps)
	}
	all[0].cancel()
	xmpptest.Eventually(t, "one trace to end", func() bool { return s.sessions.Taps() < session.MaxTaps })
	trace(t, local, full, "")

	text, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, want := range [][]string{
		{`"actor":"token write"`, `"action":"session.trace","object":"romeo@localhost/a","params":{"bodies":"true"},"result":"ok"`},
		{`"actor":"token read"`, `"action":"session.trace"`, `"result":"forbidden"`},
		{`"object":"romeo@localhost/a"`, `"result":"unavailable"`},
	} {
		found := false
		for _, line := range lines {
			all := true
			for _, part := range want {
				all = all && strings.Contains(line, part)
			}
			found = found || all
		}
		if !found {
			t.Errorf("no entry has %q:\n%s", want, text)
		}
	}
}

// TestTraceSlowReader: a reader that does not read delays nobody, and is told what it has
// missed. The stanzas are too large to be shown as a whole.
func TestTraceSlowReader(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s).login("romeo", "a")
	conn, err := unixsock.Dial(t.Context(), filepath.Join(s.config().DataDir, api.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST %s?bodies=true HTTP/1.1\r\nHost: roost\r\n\r\n", tracePath("romeo@localhost/a")); err != nil {
		t.Fatal(err)
	}
	xmpptest.Eventually(t, "the trace to begin", func() bool { return s.sessions.Taps() == 1 })
	const flood = 120
	big := "<message to='romeo@localhost/a' x='big'><body>" + strings.Repeat("x", 60<<10) + "</body></message>"
	huge := "<message to='romeo@localhost/a' x='huge'><body>" + strings.Repeat("x", 70<<10) + "</body></message>"
	romeo.ask(huge, "</message>")
	for range flood {
		romeo.ask(big+pingServer, "id='p'")
	}
	s.sessions.Find("romeo@localhost", "a").Close(nil)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lost, shown, cut := int64(0), int64(0), 0
	for lines := json.NewDecoder(resp.Body); ; {
		var l api.TraceLine
		if err := lines.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lost += l.Lost
		if l.Kind == api.TraceEnd {
			break
		}
		if shown++; l.Cut {
			cut++
			if l.Bytes < 70<<10 || !strings.HasPrefix(l.XML, "<message") || !strings.HasSuffix(l.XML, ">…") || len(l.XML) > 200 {
				t.Errorf("%d bytes, %.300s", l.Bytes, l.XML)
			}
		}
	}
	// The begin, twice the huge one, for each big one two messages, the ping and its
	// result, and the end of the stream.
	if want := int64(1 + 2 + 4*flood + 1); shown+lost != want || lost == 0 || cut != 2 {
		t.Errorf("%d shown, %d lost, %d cut; want %d together", shown, lost, cut, want)
	}
}
