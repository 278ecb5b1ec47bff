package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"

	"roost/jid"
	"roost/poller"
	"roost/router"
	"roost/session"
	"roost/store/stores"
	"roost/xep"
)

// MinStanza is the smallest limit of a stanza's size that RFC 6120 section
// 13.12 allows, in bytes.
const MinStanza = 10000

// MinUnauthMemory is the least that clients which have not logged in need, in bytes:
// a few dozen TLS handshakes.
const MinUnauthMemory = 4 << 20

// Config is what a Server is told: what concerns the server itself, and the
// configuration of each package that it is made of. A zero value takes the default
// given, there and here. A limit or time whose comment says "below 0" is turned off by
// a negative value.
//
// The server itself fills in what connects the packages: their Domains, Logger, Store,
// Accounts, Router, Extensions, Secret, TLS, Accept and Proxies, the session's Loops, and
// what follows from the size of an outbox.
type Config struct {
	Domains []string // domains that are served; default localhost
	C2S     string   // address for clients with STARTTLS; empty: none
	C2STLS  string   // address for clients with direct TLS; empty: none, but one of the two is required
	// Addresses of proxies, each an IP address or a network such as 10.0.0.0/8:
	// connections from them begin with a PROXY protocol header. Default none.
	ProxyProtocol []string

	// Listening sockets that a service manager has passed. Those for a purpose take the
	// place of its address. New takes them over.
	Sockets Sockets

	DataDir string // directory of the database, the certificates and everything else; required
	Store   string // URL of the store; default: stores.Default(DataDir)

	TLSCert []string // certificate files, PEM; default: a self-signed one is made
	TLSKey  []string // their keys, in the same order
	MinTLS  uint16   // oldest version of TLS; default 1.2

	GCPercent int // garbage in percent of what lives before Go collects it, more during storms; default: the process's own setting

	Poller  poller.Config
	Session session.Config
	Router  router.Config
	XEP     xep.Config

	Logger *slog.Logger // nil discards
}

// Sockets are listening sockets by their purpose.
type Sockets struct {
	C2S    []*net.TCPListener // for clients with STARTTLS
	C2STLS []*net.TCPListener // for clients with direct TLS
}

// largeResult is the largest stanza, in bytes, that is written to a client with
// nothing waiting for it, however small its outbox is: more than a roster has.
const largeResult = 4 << 20

// WithDefaults returns c with the default in each field that is zero, in the
// configurations of the packages, too.
func (c Config) WithDefaults() Config {
	if len(c.Domains) == 0 {
		c.Domains = []string{"localhost"}
	}
	if c.Store == "" {
		c.Store = stores.Default(c.DataDir)
	}
	if c.MinTLS == 0 {
		c.MinTLS = tls.VersionTLS12
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c.Poller, c.Session = c.Poller.WithDefaults(), c.Session.WithDefaults()
	c.Router, c.XEP = c.Router.WithDefaults(), c.XEP.WithDefaults()
	c.Poller.LargeWrite = max(c.Poller.LargeWrite, largeResult)
	c.Router.PageBytes = min(c.Router.PageBytes, c.Poller.Outbox/4)
	return c
}

// FieldError is a mistake in one field of a Config.
type FieldError struct {
	Field string // its path in Config, such as "Domains" or "Poller.Outbox"
	Err   error
}

// Error says what is wrong, without the name of the field.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *FieldError) Unwrap() error { return e.Err }

// Validate says what is wrong with the configuration: one error for each
// mistake, joined; those that concern one field are a *FieldError. It normalizes
// the domains.
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
	if c.C2S == "" && c.C2STLS == "" && len(c.Sockets.C2S)+len(c.Sockets.C2STLS) == 0 {
		mistake("C2S", "there is no address to listen on")
	}
	for _, l := range []struct{ field, addr string }{{"C2S", c.C2S}, {"C2STLS", c.C2STLS}} {
		if err := checkAddr(l.addr); err != nil {
			mistake(l.field, "cannot listen on %q: %w; an address looks like :5222 or 192.0.2.1:5222", l.addr, err)
		}
	}
	if _, err := parseProxies(c.ProxyProtocol); err != nil {
		mistake("ProxyProtocol", "%w", err)
	}
	if len(c.TLSCert) != len(c.TLSKey) {
		mistake("TLSKey", "%d certificate files and %d key files: each certificate needs its key", len(c.TLSCert), len(c.TLSKey))
	}
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
	if c.Router.OfflineBytes < 0 {
		mistake("Router.OfflineBytes", "the total size of the messages stored for one account cannot be %d bytes", c.Router.OfflineBytes)
	}
	if err := xep.CheckContacts(c.XEP.Contacts); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkAddr says what is wrong with an address to listen on; an empty one is
// none.
func checkAddr(addr string) error {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		var bad *net.AddrError
		if errors.As(err, &bad) {
			return errors.New(bad.Err) // it names the address, too
		}
		return err
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return errors.New("no such port")
	}
	return nil
}
