package server

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"roost/jid"
	"roost/poller"
	"roost/poller/websocket"
	"roost/session"
)

// WebSocket configures the listener for WebSocket clients (RFC 7395).
type WebSocket struct {
	Addr string `reload:"no: the address is opened at the start"` // address for clients; empty: none
	Path string `reload:"yes: new connections"`                   // path of the endpoint; default /xmpp-websocket

	// Web origins whose pages may connect, such as https://chat.example.org; none: all.
	// Clients that are no web pages do not name one.
	Origins []string `reload:"yes: new connections"`

	// Addresses of proxies that terminate TLS, each an IP address or a network. Their
	// connections are not encrypted, and name the client in X-Forwarded-For. All other
	// connections begin with TLS. Default none.
	Proxies []string `reload:"yes: new connections"`

	// URL of the endpoint for clients, which they learn from the server's host-meta
	// documents (XEP-0156); default: made of the domain, the port of Addr, and Path.
	URL string `reload:"yes"`
}

const (
	defaultWebSocketPath = "/xmpp-websocket"

	hostMetaXML  = "/.well-known/host-meta" // RFC 6415 section 2
	hostMetaJSON = hostMetaXML + ".json"    // RFC 6415 section 3

	relWebSocket = "urn:xmpp:alt-connections:websocket" // XEP-0156 (https://xmpp.org/extensions/xep-0156.html#httpformat)
)

// validate reports mistakes in the fields by mistake.
func (c *WebSocket) validate(mistake func(field, format string, args ...any)) {
	if err := checkAddr(c.Addr); err != nil {
		mistake("WebSocket.Addr", "cannot listen on %q: %w; an address looks like :5443 or 192.0.2.1:5443", c.Addr, err)
	}
	if u, err := url.Parse(c.Path); c.Path != "" && (err != nil || u.Path != c.Path || u.EscapedPath() != c.Path || c.Path[0] != '/') {
		mistake("WebSocket.Path", "%q is not a path; it looks like %s", c.Path, defaultWebSocketPath)
	}
	if strings.HasPrefix(c.Path, hostMetaXML) {
		mistake("WebSocket.Path", "%s is the path of the documents for clients", c.Path)
	}
	if strings.HasPrefix(c.Path, invitePath) {
		mistake("WebSocket.Path", "%s is the path of the pages of invitations", c.Path)
	}
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			mistake("WebSocket.Origins", "%q is not the origin of a web page; it looks like https://chat.example.org", o)
		}
	}
	if _, err := parseProxies(c.Proxies); err != nil {
		mistake("WebSocket.Proxies", "%w", err)
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Scheme != "wss" || u.Host == "") {
		mistake("WebSocket.URL", "%q is not the URL of an encrypted WebSocket endpoint; it looks like wss://chat.example.org%s", c.URL, defaultWebSocketPath)
	}
}

// web is the configuration of WebSocket connections that follows from the server's.
type web struct {
	requests *websocket.Config
	proxies  []netip.Prefix
}

// forAll lets pages of all origins read a document (XEP-0156,
// https://xmpp.org/extensions/xep-0156.html#impl).
var forAll = []string{"Access-Control-Allow-Origin: *"}

// newWeb returns it for a valid configuration.
func (s *Server) newWeb(c *Config) *web {
	proxies, _ := parseProxies(c.WebSocket.Proxies)
	return &web{proxies: proxies, requests: &websocket.Config{
		Path: c.WebSocket.Path, Protocol: "xmpp", Origins: c.WebSocket.Origins,
		Page: func(path, host string) *websocket.Page {
			switch path {
			case hostMetaXML:
				return &websocket.Page{Type: "application/xrd+xml", Body: hostMeta(s.webSocketURL(c, host)), Fields: forAll}
			case hostMetaJSON:
				return &websocket.Page{Type: "application/json", Body: hostMetaAsJSON(s.webSocketURL(c, host)), Fields: forAll}
			}
			return nil
		},
		Late: func(path string) bool { _, _, ok := invited(c, path); return ok },
	}}
}

// webSocket returns the poller's configuration of WebSocket connections.
func (s *Server) webSocket() *poller.WebSocket {
	return &poller.WebSocket{
		Config: func() *websocket.Config { return s.web.Load().requests },
		Proxy: func(addr netip.Addr) bool {
			return slices.ContainsFunc(s.web.Load().proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
		},
		Page:   s.inviteRequest,
		Insert: session.DeclareNamespace,
	}
}

// webSocketURL returns the URL of the endpoint for a client that has used a host name to get
// here. If that is none of our domains, it is not repeated.
func (s *Server) webSocketURL(c *Config, host string) string {
	if c.WebSocket.URL != "" {
		return c.WebSocket.URL
	}
	return "wss://" + s.webHost(c, host) + c.WebSocket.Path
}

// webOrigin is webSocketURL for the origin of pages.
func (s *Server) webOrigin(c *Config, host string) string {
	if u, err := url.Parse(c.WebSocket.URL); err == nil && u.Host != "" {
		return "https://" + u.Host
	}
	return "https://" + s.webHost(c, host)
}

// domainOf returns the domain whose host name a client has used, or the first one.
func domainOf(c *Config, host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if d := servedDomain(c, host); d != "" {
		return d
	}
	return c.Domains[0]
}

// servedDomain returns the domain with a name in DNS, "" if there is none.
func servedDomain(c *Config, name string) string {
	for _, d := range c.Domains {
		if strings.EqualFold(jid.DNSName(d), name) {
			return d
		}
	}
	return ""
}

// webHost returns our host name for a client that has used one, and the port unless it is the
// usual one.
func (s *Server) webHost(c *Config, host string) string {
	at := jid.DNSName(domainOf(c, host))
	if strings.Contains(at, ":") && !strings.HasPrefix(at, "[") {
		at = "[" + at + "]"
	}
	if port := s.webPort.Load(); port != 443 {
		at = fmt.Sprintf("%s:%d", at, port)
	}
	return at
}

// hostMeta returns the document that names the endpoint (XEP-0156,
// https://xmpp.org/extensions/xep-0156.html#httpexamples).
func hostMeta(endpoint string) string {
	var b strings.Builder
	b.WriteString("<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n  <Link rel='" + relWebSocket + "' href='")
	_ = xml.EscapeText(&b, []byte(endpoint))
	b.WriteString("'/>\n</XRD>\n")
	return b.String()
}

// hostMetaAsJSON is hostMeta in the format of RFC 6415 appendix A.
func hostMetaAsJSON(endpoint string) string {
	type link struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
	b, err := json.Marshal(map[string][]link{"links": {{relWebSocket, endpoint}}})
	if err != nil {
		panic("server: BUG: " + err.Error())
	}
	return string(b) + "\n"
}
