//go:build interop

package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInvitePage creates an account with the page of an invitation in Debian's Chromium, without
// JavaScript, by keyboard, and logs in to it. The page loads nothing, and its policy breaks nothing.
func TestInvitePage(t *testing.T) {
	if os.Getenv("INTEROP_SERVER") != "" {
		t.Skip("the other server has no such page")
	}
	s := webServer(t, "--invitations", "operators")
	data := filepath.Dir(s.ca)
	out, err := exec.Command(buildRoost(t), "invite", "create", "--json", "--data", data).Output()
	var invitation struct{ Page string }
	if err == nil {
		err = json.Unmarshal(out, &invitation)
	}
	if err != nil || invitation.Page == "" {
		t.Fatalf("%v: %s", err, out)
	}
	base, _, _ := strings.Cut(invitation.Page, "/invite/")
	browser := startChromium(t, "--ignore-certificate-errors-spki-list="+keyHash(t, s.ca))
	page := browser.open(window{width: 360, height: 740, noScript: true})
	page.visit(invitation.Page)
	page.faults()
	if dir := os.Getenv("INTEROP_PICTURES"); dir != "" {
		page.picture(filepath.Join(dir, "invite.png"))
	}
	var square bool
	page.eval("(() => { const r = document.querySelector('svg').getBoundingClientRect(); return r.width > 200 && Math.abs(r.width - r.height) < 1 })()", &square)
	if !square {
		t.Error("the QR code is not shown as a square")
	}
	send := func(username, again, heading, text string) {
		t.Helper()
		page.fill("#username", username)
		page.fill("#password", password)
		page.fill("#again", again)
		page.pressEnter()
		page.wait()
		if got := page.text("main"); page.text("h1") != heading || !strings.Contains(got, text) {
			t.Fatalf("%s: %s", username, got)
		}
	}
	const form = "You are invited to chat on localhost"
	send("with space", password, form, "characters that are not allowed")
	send("browser", password+"x", form, "not the same")
	send("browser", password, "Your account exists", "browser@localhost")
	page.visit(invitation.Page)
	if got := page.text("h1"); got != "This invitation cannot be used" {
		t.Errorf("after that: %s", got)
	}
	page.mu.Lock()
	page.problems = slices.DeleteFunc(page.problems, func(p string) bool { // the form was not accepted
		return strings.HasPrefix(p, "Failed to load resource: the server responded with a status of 40")
	})
	page.mu.Unlock()
	page.check(base)
	online(t, s, "browser@localhost", "phone")
}
