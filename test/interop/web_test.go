//go:build interop

package interop

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// webPath is the path of the server's endpoint for WebSocket.
const webPath = "/xmpp-websocket"

// webProxy runs HAProxy in front of the server's endpoint for WebSocket. It connects to the
// server without TLS, from another address than clients do, which it names. The result has
// the addresses to connect to, without TLS ("ws") and with it ("wss").
func webProxy(t *testing.T, s *server, source string) map[string]string {
	t.Helper()
	pair, err := os.ReadFile(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(filepath.Dir(s.ca), "selfsigned.key"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pair.pem")
	if err := os.WriteFile(file, append(pair, key...), 0o600); err != nil {
		t.Fatal(err)
	}
	fronts := map[string]string{"ws": freeAddress(t), "wss": freeAddress(t)}
	config := "defaults\n mode http\n option forwardfor\n timeout tunnel 1m\n" + haproxyTimes
	for name, bind := range map[string]string{"ws": "", "wss": " ssl crt " + file} {
		config += fmt.Sprintf("listen %s\n bind %s%s\n source %s\n server roost %s\n", name, fronts[name], bind, source, s.web)
	}
	runHAProxy(t, config, fronts)
	return fronts
}

// TestWebPage runs a web client with Strophe.js (from npm) in Debian's Chromium, over
// WebSocket with TLS: it finds the endpoint by the domain, logs in, and exchanges messages
// with another tab. When the page is loaded again, it resumes its session: it gets what was
// sent meanwhile, once, and the other user does not see that it was away.
func TestWebPage(t *testing.T) {
	dir := nodePackages(t, "webpage")
	pages := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(pages.Close)
	s := webServer(t, "--ws-origin", pages.URL)
	users := s.users(t, 2)
	browser := startChromium(t, "--ignore-certificate-errors-spki-list="+keyHash(t, s.ca))
	open := func() *tab {
		page := browser.open(window{width: 800, height: 600})
		page.visit(pages.URL + "/")
		return page
	}
	logIn := func(page *tab, user string) (jid string) {
		t.Helper()
		page.eval(fmt.Sprintf("logIn(%q, %q, %q)", s.web, user+"/page", password), &jid)
		if jid != user+"/page" {
			t.Fatalf("logged in as %q", jid)
		}
		return jid
	}
	say := func(page *tab, to, text string) {
		t.Helper()
		page.eval(fmt.Sprintf("say(%q, %q)", to, text), nil)
	}
	has := func(page *tab, want ...string) {
		t.Helper()
		page.await(fmt.Sprintf("messages.length >= %d", len(want)))
		var got []string
		if page.eval("messages", &got); !slices.Equal(got, want) {
			t.Errorf("the page has the messages %q, want %q", got, want)
		}
	}
	a, b := open(), open()
	romeo, juliet := logIn(a, users[0]), logIn(b, users[1])
	b.eval(fmt.Sprintf("connection.send($pres({to: %q}))", romeo), nil) // romeo's presence follows its return
	say(a, juliet, "one <&> ü 🐓")
	has(b, "one <&> ü 🐓")
	say(b, romeo, "two")
	has(a, "two")
	a.eval(fmt.Sprintf("connection.send($pres({to: %q}))", juliet), nil)
	b.await(fmt.Sprintf("presences.includes(%q)", romeo+" available"))

	a.visit("about:blank")
	say(b, romeo, "three")
	a.visit(pages.URL + "/")
	if logIn(a, users[0]); !a.holds("connection.hasResumed()") {
		t.Error("the session was not resumed")
	}
	has(a, "three")
	say(a, juliet, "four")
	has(b, "one <&> ü 🐓", "four")
	if b.holds(fmt.Sprintf("presences.includes(%q)", romeo+" unavailable")) {
		t.Error("the other user has seen that the page was loaded again")
	}
	a.eval("connection.disconnect()", nil)
	b.await(fmt.Sprintf("presences.includes(%q)", romeo+" unavailable"))
	for _, page := range []*tab{a, b} {
		page.mu.Lock()
		if len(page.problems) > 0 {
			t.Errorf("in the console: %s", strings.Join(page.problems, "\n"))
		}
		page.mu.Unlock()
	}
}

// holds evaluates a condition.
func (t *tab) holds(condition string) (ok bool) {
	t.t.Helper()
	t.eval(condition, &ok)
	return ok
}

// keyHash returns the hash of a certificate's key by which Chromium can be told to trust it.
func keyHash(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s has no certificate", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
