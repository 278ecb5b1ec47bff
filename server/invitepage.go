package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rsc.io/qr"

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

// invited returns the domain and the token in the path of an invitation's page, or false if there
// is none at this path.
func invited(c *Config, path string) (domain, token string, ok bool) {
	rest, ok := strings.CutPrefix(path, invitePath)
	name, token, _ := strings.Cut(rest, "/")
	domain = servedDomain(c, name)
	return domain, token, ok && c.XEP.Invitations != xep.InviteNobody && domain != "" && store.IsInvitationToken(token)
}

// invitePage is what the page of an invitation shows. The zero value of Token is the page of one that
// cannot be used.
type invitePage struct {
	Domain  string
	Token   string
	Address string // URL of this page
	Invited store.Invitation

	Username string // what was filled in
	Problem  string // why that is no account; "": nothing is wrong
	Account  string // the address of the account that was created; "": none was
}

// Style returns the style sheet.
func (*invitePage) Style() template.CSS { return inviteStyle }

// Link returns the XMPP URI. With an inviter, who becomes a contact, it is also for people who have an
// account already.
func (p *invitePage) Link() string {
	if i := &p.Invited; i.Contact && i.Inviter != "" && i.Localpart == "" {
		return i.AddURI(p.Token)
	}
	return p.Invited.RegisterURI(p.Token)
}

// URI is Link for an attribute; the template does not know its scheme.
func (p *invitePage) URI() template.URL { return template.URL(p.Link()) }

// Code returns Link as a QR code, "" if it is too long for one: a name may have a thousand bytes.
func (p *invitePage) Code() template.HTML { return qrCode(p.Link(), "QR code with the link") }

// PageCode returns the address of the page as a QR code. It is for a phone that has no program for
// XMPP: its camera does not know what to do with Link.
func (p *invitePage) PageCode() template.HTML {
	return qrCode(p.Address, "QR code with the address of this page")
}

// qrCode returns a text as a QR code with a label for those who do not see it, "" if it is too long for
// one.
func qrCode(text, label string) template.HTML {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return ""
	}
	return template.HTML(appendSVG(nil, code, label))
}

// quiet is the width of the empty margin that readers of QR codes need, in modules (ISO/IEC 18004).
const quiet = 4

// appendSVG appends a QR code as an SVG image: one path with a rectangle for each row of black modules.
func appendSVG(b []byte, code *qr.Code, label string) []byte {
	size := strconv.Itoa(code.Size + 2*quiet)
	b = append(b, `<svg class="code" viewBox="0 0 `+size+` `+size+`" role="img" aria-label="`+label+`" shape-rendering="crispEdges"><rect width="100%" height="100%" fill="#fff"/><path d="`...)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			begin := x
			for code.Black(x, y) {
				x++
			}
			if x == begin {
				continue
			}
			b = append(b, 'M')
			b = strconv.AppendInt(b, int64(begin+quiet), 10)
			b = append(b, ' ')
			b = strconv.AppendInt(b, int64(y+quiet), 10)
			b = append(b, 'h')
			b = strconv.AppendInt(b, int64(x-begin), 10)
			b = append(b, "v1H"...)
			b = strconv.AppendInt(b, int64(begin+quiet), 10)
			b = append(b, 'z')
		}
	}
	return append(b, `"/></svg>`...)
}

// respond returns the page with a status of HTTP.
func (p *invitePage) respond(status int) *websocket.Page {
	name := "form"
	switch {
	case p.Token == "":
		name = "refused"
	case p.Account != "":
		name = "created"
	}
	var b bytes.Buffer
	if err := inviteTemplates.ExecuteTemplate(&b, name, p); err != nil {
		panic("server: BUG: " + err.Error())
	}
	fields := inviteFields
	if status == http.StatusTooManyRequests {
		fields = append([]string{"Retry-After: 3600"}, fields...)
	}
	return &websocket.Page{Status: status, Type: "text/html; charset=utf-8", Body: b.String(), Fields: fields}
}

// inviteFields keep the link, which is a secret, from others, and allow the page nothing but its
// style and its form.
var inviteFields = []string{
	"Content-Security-Policy: default-src 'none'; style-src '" + styleHash + "'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
	"Referrer-Policy: no-referrer",
	"Cache-Control: no-store",
	"X-Content-Type-Options: nosniff",
}

var styleHash = func() string {
	h := sha256.Sum256([]byte(inviteStyle))
	return "sha256-" + base64.StdEncoding.EncodeToString(h[:])
}()
