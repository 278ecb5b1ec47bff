package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"

	"roost/acme"
	"roost/admin"
	"roost/cluster"
	"roost/jid"
	"roost/poller"
	"roost/router"
	"roost/session"
	"roost/store/stores"
	"roost/xep"
)

// MinStanza is the smallest limit on the size of a stanza, in bytes, that RFC 6120
// section 13.12 allows (https://www.rfc-editor.org/rfc/rfc6120#section-13.12).
const MinStanza = 10000

// MinUnauthMemory is the minimum memory for clients before login, in bytes: enough for a
// few dozen TLS handshakes.
const MinUnauthMemory = 4 << 20

// Config configures a Server: settings of the server itself and the configuration of each
// package that it consists of. Zero values mean the defaults documented here and in those
// packages. If the comment of a limit or time says "below 0", a negative value turns it
// off.
//
// The server sets the fields that connect the packages: their Domains, Logger, Store,
// Accounts, Tokens, Router, Extensions, Secret, Shared, TLS, Accept, Blocked, Proxies and the
// poller's WebSocket, the session's Loops, the LandingPage of the extensions, and the fields
// that depend on the outbox size.
type Config struct {
	// Domains are the domains to serve; default localhost.
	Domains []string `reload:"yes"`

	// C2S is the address for clients with STARTTLS, C2STLS that for clients with direct TLS.
	// Empty means none, but one of these and WebSocket.Addr is required.
	C2S    string `reload:"no: the addresses are opened at the start"`
	C2STLS string `reload:"no: the addresses are opened at the start"`

	// ProxyProtocol has the addresses of proxies, each an IP address or a network such as
	// 10.0.0.0/8. Connections from them must begin with a PROXY protocol header. Default none.
	ProxyProtocol []string `reload:"yes: new connections"`

	// BlockFiles are files with networks and accounts that may not use the server; see
	// blocks.ReadFiles. They are read at the start and at each reload.
	BlockFiles []string `reload:"yes: new connections and logins at once; what is blocked is ended soon after. The files are read again at each reload"`

	WebSocket WebSocket

	// Sockets are listening sockets from a service manager. Those for a purpose replace its
	// address. New takes ownership of them.
	Sockets Sockets

	// OutageFile is a file for clients that says whether there is a planned outage
	// (XEP-0455), such as one of a web server; empty: none is written.
	OutageFile string `reload:"yes: the new file is written at once; the one before stays as it is"`

	// DataDir is the directory of the database, the certificates and all other files;
	// required.
	DataDir string `reload:"no: the database is open"`

	// Store is the URL of the store; default stores.Default(DataDir).
	Store string `reload:"no: the database is open"`

	// Cluster connects this server with others that serve the same domains. Without its URL,
	// the server is alone. Its Name is by default that of the machine.
	Cluster cluster.Config

	// SavedSessions is the size, in bytes, of the sessions that a planned stop leaves in the
	// store for the next start, so that their clients can resume them; those beyond it end.
	// Default 1 GiB; below 0: all end.
	SavedSessions int64 `reload:"yes"`

	// TLSCert are files with certificates, in PEM, and TLSKey those of their keys, in the same
	// order. Default: the server creates a self-signed certificate.
	TLSCert []string `reload:"yes: new connections"`
	TLSKey  []string `reload:"yes: new connections"`

	// MinTLS is the minimum version of TLS; default 1.2.
	MinTLS uint16 `reload:"yes: new connections"`

	// ACME obtains certificates for the domains that TLSCert does not cover. Until it has
	// one, the server uses the same certificate as without ACME. Its Dir is by default acme
	// in DataDir.
	ACME acme.Config

	// GCPercent is the garbage, in percent of the live heap, that triggers a collection; it is
	// increased during storms of logins. Default: the process's own setting.
	GCPercent int `reload:"-"`

	Poller  poller.Config
	Session session.Config
	Router  router.Config
	XEP     xep.Config
	Admin   admin.Config

	// Logger gets the log; nil discards it.
	Logger *slog.Logger `reload:"-"`
}

// Sockets are listening sockets by purpose.
type Sockets struct {
	C2S    []*net.TCPListener `reload:"-"` // for clients with STARTTLS
	C2STLS []*net.TCPListener `reload:"-"` // for clients with direct TLS
	WS     []*net.TCPListener `reload:"-"` // for WebSocket clients
}

func (s *Sockets) len() int { return len(s.C2S) + len(s.C2STLS) + len(s.WS) }

// largeResult is the largest stanza, in bytes, that a client with an empty outbox
// receives regardless of its outbox limit: larger than any roster.
const largeResult = 4 << 20

// WithDefaults returns c with zero fields replaced by their defaults, also in the
// configurations of the packages.
func (c Config) WithDefaults() Config {
	if len(c.Domains) == 0 {
		c.Domains = []string{"localhost"}
	}
	if c.Store == "" {
		c.Store = stores.Default(c.DataDir)
	}
	if c.Admin.Tokens == "" {
		c.Admin.Tokens = filepath.Join(c.DataDir, admin.TokensName)
	}
	if c.ACME.Enabled() && c.ACME.Dir == "" {
		c.ACME.Dir = filepath.Join(c.DataDir, acme.DirName)
	}
	if c.WebSocket.Path == "" {
		c.WebSocket.Path = defaultWebSocketPath
	}
	if c.SavedSessions == 0 {
		c.SavedSessions = 1 << 30
	}
	if c.MinTLS == 0 {
		c.MinTLS = tls.VersionTLS12
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c.Poller, c.Session = c.Poller.WithDefaults(), c.Session.WithDefaults()
	c.Router, c.XEP = c.Router.WithDefaults(), c.XEP.WithDefaults()
	c.Cluster = c.Cluster.WithDefaults()
	c.Poller.LargeWrite = max(c.Poller.LargeWrite, largeResult)
	c.Router.PageBytes = min(c.Router.PageBytes, c.Poller.Outbox/4)
	return c
}

// FieldError is a mistake in one field of a Config.
type FieldError struct {
	Field string // its path in Config, such as "Domains" or "Poller.Outbox"
	Err   error
}

// Error describes the mistake without the name of the field.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap returns the underlying error.
func (e *FieldError) Unwrap() error { return e.Err }

// Validate returns the mistakes in the configuration, one error each, joined. Those that
// concern one field are *FieldErrors. It normalizes the domains.
func (c *Config) Validate() error {
	var errs []error
	mistake := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Errorf(format, args...)})
	}
	for i, d := range c.Domains {
		normal, err := jid.NormalizeDomain(d)
		if err != nil {
			mistake("Domains", "%q is not a domain", d)
			continue
		}
		if slices.Contains(c.Domains[:i], normal) {
			mistake("Domains", "the domain %s is given twice", normal)
		}
		c.Domains[i] = normal
	}
	if c.DataDir == "" {
		mistake("DataDir", "no data directory is given")
	}
	if c.Store != "" {
		if _, err := stores.Locate(c.Store); err != nil {
			mistake("Store", "%w", err)
		}
	}
	c.validateCluster(mistake)
	if c.C2S == "" && c.C2STLS == "" && c.WebSocket.Addr == "" && c.Sockets.len() == 0 {
		mistake("C2S", "there is no address to listen on")
	}
	for _, l := range []struct{ field, addr string }{{"C2S", c.C2S}, {"C2STLS", c.C2STLS}} {
		if err := checkAddr(l.addr); err != nil {
			mistake(l.field, "cannot listen on %q: %w; an address looks like :5222 or 192.0.2.1:5222", l.addr, err)
		}
	}
	c.WebSocket.validate(mistake)
	if _, err := parseProxies(c.ProxyProtocol); err != nil {
		mistake("ProxyProtocol", "%w", err)
	}
	if err := checkAddr(c.Admin.Addr); err != nil {
		mistake("Admin.Addr", "cannot listen on %q: %w; an address looks like 127.0.0.1:5280", c.Admin.Addr, err)
	} else if c.Admin.Addr != "" && !onLoopback(c.Admin.Addr) && len(c.TLSCert) == 0 && !c.ACME.Enabled() {
		mistake("Admin.Addr", "%s is not a loopback address, so it needs TLS: give the server a certificate, or use 127.0.0.1", c.Admin.Addr)
	}
	if len(c.TLSCert) != len(c.TLSKey) {
		mistake("TLSKey", "%d certificate files and %d key files: each certificate needs its key", len(c.TLSCert), len(c.TLSKey))
	}
	c.validateACME(mistake)
	if c.Session.Limits.MaxStanza != 0 && c.Session.Limits.MaxStanza < MinStanza {
		mistake("Session.Limits.MaxStanza", "the largest stanza must be at least %d bytes (RFC 6120 section 13.12)", MinStanza)
	}
	if c.Poller.UnauthMemory > 0 && c.Poller.UnauthMemory < MinUnauthMemory {
		mistake("Poller.UnauthMemory", "the memory for clients that have not logged in (%d bytes) must be at least %d bytes", c.Poller.UnauthMemory, MinUnauthMemory)
	}
	if outbox, stanza := c.Poller.WithDefaults().Outbox, c.Session.WithDefaults().Limits.MaxStanza; outbox < stanza {
		mistake("Poller.Outbox", "the outbox (%d bytes) must hold the largest stanza (%d bytes)", outbox, stanza)
	}
	if c.Router.OfflineShare < 0 || c.Router.OfflineShare > 100 {
		mistake("Router.OfflineShare", "the share of one sender must be 1 to 100 percent, not %d", c.Router.OfflineShare)
	}
	if c.Router.Durable && c.Router.MaxOffline < 0 {
		mistake("Router.Durable", "no messages are stored for accounts that are offline, so none can be stored before they are delivered: allow offline messages, or turn durable delivery off")
	}
	for _, text := range c.Router.Exempt {
		if j, err := jid.Parse(text); err != nil || !j.IsAccount() {
			mistake("Router.Exempt", "%q is not the address of an account, such as bot@example.org", text)
		}
	}
	if c.Router.OfflineBytes < 0 {
		mistake("Router.OfflineBytes", "the total size of the messages stored for one account cannot be %d bytes", c.Router.OfflineBytes)
	}
	if err := xep.CheckOutageStatus(c.XEP.OutageStatus); err != nil {
		mistake("XEP.OutageStatus", "%w", err)
	}
	if err := xep.CheckContacts(c.XEP.Contacts); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// onLoopback reports whether an address to listen on is reached from this machine only.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// checkAddr checks an address to listen on. An empty address means no listener.
func checkAddr(addr string) error {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		var bad *net.AddrError
		if errors.As(err, &bad) {
			return errors.New(bad.Err) // err contains the address, too
		}
		return err
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return errors.New("no such port")
	}
	return nil
}
