//go:build interop

package interop

import (
	"bytes"
	"crypto/tls"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pageFaults.js returns what would keep people from using a page.
//
//go:embed pagefaults.js
var pageFaults string

// TestDashboard uses the dashboard in Debian's Chromium as an operator does: logs in with a
// token, looks at the charts, finds a session and ends it; with another token, which may
// read only; without JavaScript; light and dark, on a phone, and by keyboard.
func TestDashboard(t *testing.T) {
	if os.Getenv("INTEROP_SERVER") != "" {
		t.Skip("the other server has no dashboard")
	}
	tokens := filepath.Join(t.TempDir(), "tokens")
	write, read := addToken(t, tokens, "operator", "write"), addToken(t, tokens, "viewer", "read")
	address := freeAddress(t)
	s := roost(t, "--admin", address, "--admin-tokens", tokens)
	base := "http://" + address
	pictures := t.TempDir()
	if dir := os.Getenv("INTEROP_PICTURES"); dir != "" {
		pictures = dir
	}
	user := s.users(t, 1)[0]
	const resource = `a/b "><img src=x onerror=alert(1)> é`
	client := online(t, s, user, resource)
	browser := startChromium(t)

	for _, w := range []struct {
		name string
		window
	}{
		{"light", window{width: 1280, height: 800}},
		{"dark", window{width: 1280, height: 800, dark: true}},
		{"phone", window{width: 360, height: 740}},
		{"phone-dark", window{width: 360, height: 740, dark: true}},
	} {
		t.Run(w.name, func(t *testing.T) {
			page := browser.open(w.window)
			page.t = t
			look := func(name string) {
				t.Helper()
				page.faults()
				page.picture(filepath.Join(pictures, w.name+"-"+name+".png"))
			}
			page.visit(base + "/")
			look("login")
			page.logIn(write)
			page.await("document.querySelectorAll('.plot canvas').length >= 6")
			look("overview")
			page.visit(base + "/sessions")
			look("sessions")
			page.visit(base + "/session?jid=" + url.QueryEscape(user+"/"+resource))
			look("session")
			page.visit(base + "/accounts")
			look("accounts")
			page.visit(base + "/account?jid=" + url.QueryEscape(user))
			look("account")
			page.visit(base + "/announce")
			look("announce")
			page.visit(base + "/drain")
			look("drain")
			page.visit(base + "/?span=24h")
			page.await("document.querySelectorAll('.plot canvas').length >= 6")
			page.check(base)
		})
	}

	t.Run("read only", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		page.visit(base + "/sessions?q=" + url.QueryEscape(user))
		page.logIn(read)
		if text := page.text("main"); !strings.Contains(text, "1 to 1 of 1") || !strings.Contains(text, user+"/"+resource) {
			t.Fatalf("the login has not led to the list that was asked for:\n%s", text)
		}
		page.visit(base + "/session?jid=" + url.QueryEscape(user+"/"+resource))
		if text := page.text("main"); !strings.Contains(text, "may read only") || page.text("button.danger") != "" {
			t.Errorf("who may read only sees a control:\n%s", text)
		}
		page.check(base)
	})

	t.Run("without JavaScript", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800, noScript: true})
		page.t = t
		page.visit(base + "/login")
		page.logIn(read)
		if text := page.text("#figures"); !strings.Contains(text, "Online") || !strings.Contains(text, "1\u00a0client") && !strings.Contains(text, "1 client") {
			t.Errorf("no figures: %s", text)
		}
		if text := page.text("body"); !strings.Contains(text, "The charts need JavaScript") {
			t.Error(text)
		}
		page.picture(filepath.Join(pictures, "noscript-overview.png"))
		page.check(base)
	})

	t.Run("end a session", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		page.visit(base + "/login")
		page.fill("#token", "roost_wrong")
		page.pressEnter()
		page.wait()
		if text := page.text("main"); !strings.Contains(text, "This token is not valid") {
			t.Error(text)
		}
		page.mu.Lock()
		page.problems = nil // the browser logs the status 401
		page.mu.Unlock()
		page.logIn(write)
		page.visit(base + "/sessions")
		page.fill("#q", user)
		page.pressEnter()
		page.wait()
		page.eval("document.querySelector('tbody a').focus()", nil)
		page.pressEnter()
		page.wait()
		if got := page.text("h1"); got != user+"/"+resource {
			t.Fatalf("the page of %q", got)
		}
		page.fill("#text", "Good <night> & bye")
		page.pressTab()
		page.pressEnter()
		page.wait()
		if text := page.text("main"); !strings.Contains(text, "The session is ended.") || !strings.Contains(text, "No session matches") {
			t.Error(text)
		}
		client.expect(t, "<policy-violation", "Good &lt;night&gt; &amp; bye")
		page.visit(base + "/")
		page.await("document.querySelector('#ends').innerText.includes('policy-violation')")
		page.eval("document.querySelector('.who button').focus()", nil)
		page.pressEnter()
		page.wait()
		if got := page.text("h1"); got != "Log in" {
			t.Errorf("after the logout: %q", got)
		}
		page.check(base)
	})

	t.Run("disable an account", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		other := s.users(t, 1)[0]
		client := online(t, s, other, "r")
		page.visit(base + "/accounts")
		page.logIn(write)
		page.fill("#name", other)
		page.pressEnter()
		page.wait()
		page.eval("document.querySelector('button.danger').focus()", nil)
		page.pressEnter()
		page.wait()
		if text := page.text("main"); !strings.Contains(text, "The account is disabled.") || !strings.Contains(text, "Enable the account") {
			t.Error(text)
		}
		client.expect(t, "<stream:error>", "</stream:stream>")
		page.eval("document.querySelector('form[action=\"/account/enable\"] button').focus()", nil)
		page.pressEnter()
		page.wait()
		if text := page.text("main"); !strings.Contains(text, "The account is enabled.") {
			t.Error(text)
		}
		online(t, s, other, "r")
		page.check(base)
	})

	t.Run("announce", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		client := online(t, s, s.users(t, 1)[0], "r")
		page.visit(base + "/announce")
		page.logIn(write)
		page.fill("#text", "Good <morning>")
		page.eval("document.querySelector('button.primary').focus()", nil)
		page.pressEnter()
		page.wait()
		client.expect(t, "<message", "Good &lt;morning&gt;")
		page.await("document.querySelector('#progress').innerText.includes('done')")
		page.faults()
		page.check(base)
	})

	t.Run("overlapping updates", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		page.visit(base + "/login")
		page.logIn(read)
		page.await("document.querySelectorAll('.plot canvas').length >= 6")
		page.eval(`{ const Plot = uPlot; window.plots = []; window.uPlot = function (...a) { const u = new Plot(...a); plots.push(u); return u; }; }`, nil)
		page.resize(window{width: 1280, height: 800, dark: true}) // draws the charts again
		page.await("plots.length >= 6")
		var times []int64 // of the samples in a chart
		page.eval(`(async () => {
			const names = Object.keys(await (await fetch("/history.json")).json()), at = Math.floor(Date.now() / 1000) + 5;
			roost.get = async () => ({ json: async () => Object.fromEntries(names.map(n => [n, [n === "t" ? at : 1]])) });
			for (let i = 0; i < 2; i++) document.dispatchEvent(new Event("roost:updated"));
			await new Promise(done => setTimeout(done));
			return plots[0].data[0].at(-1) === at ? plots[0].data[0] : [];
		})()`, &times)
		if len(times) == 0 || !slices.IsSorted(times) || len(slices.Compact(slices.Clone(times))) != len(times) {
			t.Errorf("the samples of %v: one that two responses have is there twice, or is missing", times)
		}
	})

	t.Run("stays up to date", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		page.visit(base + "/login")
		page.logIn(read)
		_ = client.conn.Close() // it may be closed already
		page.await("document.querySelector('#figures').innerText.includes('Online\\n0 clients')")
		online(t, s, user, "new")
		page.await("document.querySelector('#figures').innerText.includes('Online\\n1 client')")
		page.await("!document.querySelector('.legend b').innerText.includes('–')")
		page.check(base)
		if err := exec.Command(buildRoost(t), "admin", "token", "remove", "viewer", "--admin-tokens", tokens).Run(); err != nil {
			t.Fatal(err)
		}
		page.wait() // the page notices that its login has ended, and loads itself again
		if got := page.text("h1"); got != "Log in" {
			t.Errorf("after the token was removed: %q", got)
		}
	})

	t.Run("drain", func(t *testing.T) {
		page := browser.open(window{width: 1280, height: 800})
		page.t = t
		client := online(t, s, s.users(t, 1)[0], "r")
		page.visit(base + "/drain")
		page.logIn(write)
		begin := func() {
			page.eval("document.querySelector('form[action=\"/drain\"] button').focus()", nil)
			page.pressEnter()
		}
		page.fill("#minutes", "0.05")
		page.fill("#text", "Back <soon>")
		begin() // without the confirmation the browser does not send the form
		var sent bool
		if page.eval("document.querySelector('form[action=\"/drain\"]').checkValidity()", &sent); sent {
			t.Error("a drain needs no confirmation")
		}
		page.eval("document.querySelector('input[name=sure]').checked = true", nil)
		begin()
		page.wait()
		client.expect(t, "<system-shutdown", "Back &lt;soon&gt;")
		page.await("document.querySelector('#progress').innerText.includes('All clients have left')")
		page.faults()
		page.picture(filepath.Join(pictures, "drained.png"))
		page.eval("document.querySelector('form[action=\"/drain/abort\"] button').focus()", nil)
		page.pressEnter()
		page.wait()
		if text := page.text("main"); !strings.Contains(text, "The last drain was aborted") {
			t.Error(text)
		}
		if err := s.await(s.direct); err != nil {
			t.Errorf("the server does not accept clients again: %v", err)
		}
		page.check(base)
	})
}

// logIn logs in with a token, by keyboard.
func (t *tab) logIn(token string) {
	t.t.Helper()
	t.fill("#token", token)
	t.pressEnter()
	t.wait()
	if text := t.text("h1"); text == "Log in" {
		t.t.Fatalf("the token is not accepted:\n%s", t.text("body"))
	}
}

// faults reports what would keep people from using the page, and follows the keyboard's
// focus through it.
func (t *tab) faults() {
	t.t.Helper()
	var faults []string
	t.eval(pageFaults, &faults)
	for _, f := range faults {
		t.t.Errorf("%s: %s", t.text("title")+t.text("h1"), f)
	}
	var want int
	t.eval(`{ document.activeElement?.blur(); scrollTo(0, 0);
		[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')].filter(e => e.checkVisibility()).length }`, &want)
	seen := make(map[string]bool)
	for range want {
		t.pressTab()
		var at struct {
			ID, Shown string
		}
		t.eval(`(() => { const e = document.activeElement, s = getComputedStyle(e);
			e.dataset.n ??= String(Math.random());
			return {ID: e === document.body ? '' : e.dataset.n, Shown: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 ? 'yes' : e.outerHTML.slice(0, 80)}; })()`, &at)
		if at.ID == "" {
			continue
		}
		seen[at.ID] = true
		if at.Shown != "yes" {
			t.t.Errorf("the focus is not visible: %s", at.Shown)
		}
	}
	if len(seen) < want-1 { // the body may be one of the stops
		t.t.Errorf("%s: the keyboard reaches %d of %d controls", t.text("h1"), len(seen), want)
	}
	t.eval("document.activeElement?.blur(); scrollTo(0, 0)", nil)
}

// addToken makes a token.
func addToken(t *testing.T, file, name, scope string) string {
	t.Helper()
	out, err := exec.Command(buildRoost(t), "admin", "token", "add", name, "--scope", scope, "--admin-tokens", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}

// stream is a client.
type stream struct {
	conn *tls.Conn
	have strings.Builder
}

// online connects a client with direct TLS.
func online(t *testing.T, s *server, user, resource string) *stream {
	t.Helper()
	conn, err := tls.Dial("tcp", s.direct, &tls.Config{InsecureSkipVerify: true, ServerName: s.domain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &stream{conn: conn}
	local, _, _ := strings.Cut(user, "@")
	header := "<stream:stream to='" + s.domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace
	for _, step := range [][2]string{
		{header, "</stream:features>"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + base64.StdEncoding.EncodeToString([]byte("\x00"+local+"\x00"+password)) + "</auth>", "<success"},
		{header, "</stream:features>"},
		{"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + escape(resource) + "</resource></bind></iq>", "</iq>"},
		{"<presence/>", "<presence "},
	} {
		if _, err := io.WriteString(conn, step[0]); err != nil {
			t.Fatal(err)
		}
		c.expect(t, step[1])
	}
	return c
}

// expect reads until all parts have come.
func (c *stream) expect(t *testing.T, parts ...string) {
	t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(browserTime))
	buf := make([]byte, 4096)
	missing := func() bool {
		for _, p := range parts {
			if !strings.Contains(c.have.String(), p) {
				return true
			}
		}
		return false
	}
	for missing() {
		n, err := c.conn.Read(buf)
		c.have.Write(buf[:n])
		if err != nil && missing() {
			t.Fatal(fmt.Errorf("waiting for %q: %w; there is %q", parts, err, c.have.String()))
		}
	}
	c.have.Reset()
}
