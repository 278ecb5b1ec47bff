package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/url"
	"strings"

	"roost/jid"
	"roost/poller/websocket"
	"roost/store"
	"roost/xep"
)

// invitePath is the beginning of the path of an invitation's page on the listener for
// WebSocket; the domain and the token follow. The host does not tell the domain: with
// WebSocket.URL, it is the same for all.
const invitePath = "/invite/"

// landingPage returns the URL of the page for an invitation, "" if there is none
// (https://xmpp.org/extensions/xep-0401.html#landing-page).
func (s *Server) landingPage(domain, token string) string {
	c := s.config()
	if c.WebSocket.Addr == "" && len(c.Sockets.WS) == 0 {
		return ""
	}
	return s.webOrigin(c, domain) + invitePath + url.PathEscape(jid.DNSName(domain)) + "/" + token
}

// invitePage returns the page for the domain and the token in a path, nil if there is none. It is
// the same whether the token can be used or not: it is made by the loop, which must not wait for
// the store, and the client that opens the link is told.
func (s *Server) invitePage(c *Config, path string) *websocket.Page {
	rest, ok := strings.CutPrefix(path, invitePath)
	name, token, _ := strings.Cut(rest, "/")
	domain := servedDomain(c, name)
	if !ok || c.XEP.Invitations == xep.InviteNobody || domain == "" || !store.IsInvitationToken(token) {
		return nil
	}
	i := store.Invitation{Domain: domain}
	var b bytes.Buffer
	err := inviteTemplate.Execute(&b, map[string]any{
		"Domain": i.Domain, "Style": template.CSS(inviteStyle), "Text": i.RegisterURI(token),
		"URI": template.URL(i.RegisterURI(token)), // of a scheme that the template does not know
	})
	if err != nil {
		panic("server: BUG: " + err.Error())
	}
	return &websocket.Page{Type: "text/html; charset=utf-8", Body: b.String(), Fields: inviteFields}
}

// inviteFields keep the link, which is a secret, from others, and allow the page nothing but its
// style.
var inviteFields = []string{
	"Content-Security-Policy: default-src 'none'; style-src '" + styleHash + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Referrer-Policy: no-referrer",
	"Cache-Control: no-store",
	"X-Content-Type-Options: nosniff",
}

const inviteStyle = `
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif }
main { max-width: 36rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.2 }
h2 { font-size: 1.2rem; margin-top: 2rem }
.button { display: inline-block; padding: .7rem 1.4rem; border-radius: .4rem; background: #0b57b0; color: #fff; text-decoration: none }
.button:focus-visible { outline: 3px solid currentColor; outline-offset: 3px }
code { display: block; padding: .6rem; border: 1px solid; border-radius: .4rem; overflow-wrap: anywhere; font-size: .9rem }
`

var styleHash = func() string {
	h := sha256.Sum256([]byte(inviteStyle))
	return "sha256-" + base64.StdEncoding.EncodeToString(h[:])
}()

var inviteTemplate = template.Must(template.New("invite").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Invitation to {{.Domain}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>You are invited to chat on {{.Domain}}</h1>
<p>With this invitation you create an account on {{.Domain}}, a server for instant messages. You choose a username and a password; whoever has invited you never learns the password.</p>
<p><a class="button" href="{{.URI}}">Create my account</a></p>
<h2>If nothing happens</h2>
<p>Install a program for XMPP, the open standard that {{.Domain}} uses, and open this page again. Such programs are, among many others:</p>
<ul>
<li>on Android: Conversations, Cheogram</li>
<li>on an iPhone or iPad: Monal, Siskin</li>
<li>on a Mac: Monal, Beagle</li>
<li>on Windows and Linux: Gajim, Dino</li>
</ul>
<p>Or choose in the program to create an account with an invitation, and paste this link:</p>
<code>{{.Text}}</code>
<h2>Keep this link to yourself</h2>
<p>Anybody who has it can use the invitation in your place. It can be used until it ends, usually once. If the program says that it is invalid or expired, ask for a new one. If you did not expect an invitation, you need not do anything.</p>
</main>
</body>
</html>
`))
