package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"roost/internal/loglimit"
	"roost/jid"
	"roost/store"
	"roost/xep"
)

// formRequest is a request with a form, of a browser behind a proxy if there are fields for it.
func formRequest(path string, form url.Values, fields ...string) string {
	body := form.Encode()
	all := append([]string{"POST " + path + " HTTP/1.1", "Host: localhost", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(body))}, fields...)
	return strings.Join(all, "\r\n") + "\r\n\r\n" + body
}

// page sends a request on a new connection, and returns the status and the page.
func page(t *testing.T, c net.Conn, request string) (status int, body string) {
	t.Helper()
	resp, _ := respond(t, c, request)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// inviteFor stores an invitation, and returns the path of its page.
func inviteFor(t *testing.T, s *Server, i store.Invitation) (path string) {
	t.Helper()
	token := store.NewInvitationToken()
	now := time.Now().UTC().Truncate(time.Second)
	i.ID, i.Domain, i.Created = store.InvitationID(token), "localhost", now
	if i.Until.IsZero() {
		i.Until = now.Add(time.Hour)
	}
	if i.Uses == 0 {
		i.Uses = 1
	}
	if err := s.store.CreateInvitation(t.Context(), i, 100); err != nil {
		t.Fatal(err)
	}
	return "/invite/localhost/" + token
}

// TestInviteForm: the form of an invitation's page creates an account as a client does, once, and
// says what is wrong with what was filled in.
func TestInviteForm(t *testing.T) {
	s := startServer(t, func(cfg *Config) { cfg.WebSocket.Addr, cfg.XEP.Invitations = "127.0.0.1:0", xep.InviteUsers })
	path := inviteFor(t, s, store.Invitation{Inviter: "romeo@localhost", Contact: true})
	romeo := connect(t, s).login("romeo", "r")
	romeo.ask("<iq type='get' id='ro'><query xmlns='jabber:iq:roster'/></iq>", "</iq>")
	f := func(path, username, password, again string, status int, want ...string) {
		t.Helper()
		got, body := page(t, s.webDial(t), formRequest(path, url.Values{"username": {username}, "password": {password}, "again": {again}}))
		for _, text := range want {
			if got != status || !strings.Contains(body, text) {
				t.Errorf("%q: status %d, want %d with %q:\n%s", username, got, status, text, body)
			}
		}
	}
	address := s.landingPage("localhost", strings.TrimPrefix(path, "/invite/localhost/"))
	if status, body := page(t, s.webDial(t), "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); status != 200 || !strings.Contains(body, "invitation of romeo@localhost you create") ||
		!strings.Contains(body, string(qrCode(address, "QR code with the address of this page"))) || !strings.Contains(body, `<a href="https://conversations.im">Conversations</a>`) ||
		!strings.Contains(body, `href="xmpp:romeo@localhost?roster;preauth=`) || !strings.Contains(body, `<svg class="code" viewBox="0 0 `) || !strings.Contains(body, `<form method="post">`) {
		t.Errorf("%d: %s", status, body)
	}
	f(path, "bill<", "secret", "secret", 400, "characters that are not allowed", `name="username" value="bill&lt;"`)
	f(path, "bill", "secret", "other", 400, "passwords are not the same", `value="bill"`)
	f(path, "", "secret", "secret", 400, "are required")
	f(path, "bill", "", "", 400, "are required")
	f(path, "bill", "a\tb", "a\tb", 400, "The password has a control character")
	f(path, "bill", "\U0001f511", "\U0001f511", 400, "The password has an emoji")
	f(path, "romeo", "secret", "secret", 409, "This username is taken", `value="romeo"`)
	f(path, "Bill", "sécret &+", "sécret &+", 200, "<code>bill@localhost</code>", "romeo@localhost is on your list")
	f(path, "bob", "secret", "secret", 404, "used already")
	a, err := s.store.Account(t.Context(), jid.MustParse("bill@localhost"))
	if err != nil || !a.Credentials.Verify("sécret &+") {
		t.Errorf("the account: %v", err)
	}
	romeo.ask("", "jid='bill@localhost' subscription='both'")
	if ro, err := s.store.Roster(t.Context(), a.JID); err != nil || len(ro.Items) != 1 || ro.Items[0].JID.String() != "romeo@localhost" || ro.Items[0].Subscription != store.Both {
		t.Errorf("%+v, %v", ro, err)
	}

	named := inviteFor(t, s, store.Invitation{Localpart: "angelica"})
	if status, body := page(t, s.webDial(t), "GET "+named+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); status != 200 || !strings.Contains(body, "<strong>angelica@localhost</strong>") ||
		!strings.Contains(body, `href="xmpp:angelica@localhost?register;preauth=`) || strings.Contains(body, "invitation of") {
		t.Errorf("%d: %s", status, body)
	}
	f(named, "bob", "secret", "secret", 400, "This invitation is for the username angelica")
	f(named, "angelica", "secret", "secret", 200, "<code>angelica@localhost</code>")

	ended := inviteFor(t, s, store.Invitation{Until: time.Now().UTC().Truncate(time.Second)})
	f(ended, "bob", "secret", "secret", 404, "it has ended")
	f("/invite/localhost/"+store.NewInvitationToken(), "bob", "secret", "secret", 404, "used already")
	if err := s.store.SetDisabled(t.Context(), jid.MustParse("romeo@localhost"), true); err != nil {
		t.Fatal(err)
	}
	f(inviteFor(t, s, store.Invitation{Inviter: "romeo@localhost"}), "bob", "secret", "secret", 404, "used already")
	if _, err := s.store.Account(t.Context(), jid.MustParse("bob@localhost")); err == nil {
		t.Error("an account was created without an invitation")
	}
}

// TestInviteFormRequests: what is no form, or too large, is refused; so is a password that was sent
// without encryption, and one attempt too many from an address that a proxy names.
func TestInviteFormRequests(t *testing.T) {
	s := startServer(t, func(cfg *Config) {
		cfg.WebSocket.Addr, cfg.XEP.Invitations, cfg.XEP.RegisterPerHour = "127.0.0.1:0", xep.InviteOperators, 2
		cfg.WebSocket.Proxies, cfg.Session.AllowPlaintext = []string{"127.0.0.1"}, false
	})
	path := inviteFor(t, s, store.Invitation{Uses: 10})
	form := url.Values{"username": {"romeo"}, "password": {"x"}, "again": {"x"}}
	f := func(request string, want int) {
		t.Helper()
		c, err := net.Dial("tcp", s.webAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, body := page(t, c, request); got != want {
			t.Errorf("%.80q: %d, want %d: %s", request, got, want, body)
		}
	}
	f(formRequest(path, form, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http"), 403)
	for range 2 {
		f(formRequest(path, form, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"), 409)
	}
	f(formRequest(path, form, "X-Forwarded-For: 192.0.2.1"), 429)
	f(formRequest(path, form, "X-Forwarded-For: 192.0.2.1, 192.0.2.2"), 409)
	f(strings.Replace(formRequest(path, form), "application/x-www-form-urlencoded", "text/plain", 1), 415)
	f("POST "+path+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1\r\n\r\n%", 400)
	f(formRequest(path, url.Values{"password": {strings.Repeat("x", 9000)}}), 413)
	f("POST "+path+" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411)
	f("POST "+path+" HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 405)
	f(formRequest("/invite/localhost/x", form), 405)
	f(formRequest("/xmpp-websocket", form), 405)
	f("PUT "+path+" HTTP/1.1\r\nHost: h\r\n\r\n", 405)

	// A form in several parts.
	c, err := net.Dial("tcp", s.webAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := formRequest(path, form, "X-Forwarded-For: 192.0.2.3")
	for i := range len(request) - 1 {
		if _, err := io.WriteString(c, request[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := page(t, c, request[len(request)-1:]); got != http.StatusConflict {
		t.Errorf("byte by byte: %d", got)
	}
}

// TestInviteFormOutage: if the store fails, the page says so, and the invitation is not used. Requests
// do not fill the log.
func TestInviteFormOutage(t *testing.T) {
	var log lockedLog
	s := startServer(t, func(cfg *Config) {
		cfg.WebSocket.Addr, cfg.XEP.Invitations, cfg.Logger = "127.0.0.1:0", xep.InviteOperators, slog.New(slog.NewTextHandler(&log, nil))
	})
	path := inviteFor(t, s, store.Invitation{})
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range loglimit.Lines + 3 {
		request := "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"
		if i == 0 {
			request = formRequest(path, url.Values{"username": {"bob"}})
		}
		if got, body := page(t, s.webDial(t), request); got != 503 || !strings.Contains(body, "not used") {
			t.Errorf("%d: %s", got, body)
		}
	}
	if n := strings.Count(log.String(), "a request for the page of an invitation has failed"); n != loglimit.Lines {
		t.Errorf("%d lines in the log, want %d", n, loglimit.Lines)
	}
}

// TestQRCode: the image has the modules of the code, with a margin.
func TestQRCode(t *testing.T) {
	code, err := qr.Encode("xmpp:example.org?register;preauth="+store.NewInvitationToken(), qr.M)
	if err != nil {
		t.Fatal(err)
	}
	svg := string(appendSVG(nil, code, "label"))
	_, path, _ := strings.Cut(svg, ` d="`)
	path, _, _ = strings.Cut(path, `"`)
	black := make(map[[2]int]bool)
	for _, part := range strings.SplitAfter(path, "z") {
		var x, y, width, back int
		if part == "" {
			continue
		}
		if _, err := fmt.Sscanf(part, "M%d %dh%dv1H%dz", &x, &y, &width, &back); err != nil || back != x {
			t.Fatalf("%q: %v", part, err)
		}
		for i := range width {
			black[[2]int{x + i, y}] = true
		}
	}
	for y := range code.Size + 2*quiet {
		for x := range code.Size + 2*quiet {
			if black[[2]int{x, y}] != code.Black(x-quiet, y-quiet) {
				t.Fatalf("the module %d, %d is wrong", x, y)
			}
		}
	}
	if want := fmt.Sprintf(`viewBox="0 0 %d %[1]d"`, code.Size+8); !strings.Contains(svg, want) {
		t.Errorf("no %s in %.100s", want, svg)
	}
}
