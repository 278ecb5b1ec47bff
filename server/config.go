package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"time"

	"roost/jid"
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

// Config is what a Server is told. The zero value of a field stands for the
// default that is given.
type Config struct {
	// Where it is.
	Domains []string // domains that are served; default localhost
	C2S     string   // address for clients with STARTTLS; empty turns it off
	C2STLS  string   // address for clients with direct TLS; empty turns it off
	DataDir string   // directory of the database, the certificates and all else; required
	Store   string   // URL of the store; default: stores.Default(DataDir)

	// TLS.
	TLSCert        []string // certificate files, PEM; none: a self-signed one is made
	TLSKey         []string // their keys, in the same order
	MinTLS         uint16   // oldest version of TLS; default 1.2
	AllowPlaintext bool     // logins without TLS
	Handshakes     int      // TLS handshakes under way at once, of which one network has half at most; default 1,024
	StdTLS         bool     // TLS 1.3 sessions stay with crypto/tls, at several KB each

	// Who may do what.
	Register     bool                   // in-band registration
	MaxRegister  int                    // accounts that one IPv4 address or IPv6 /64 may try to create in an hour, loopback exempt; default 60; below 0: any number
	Contacts     map[string][]string    // contact addresses by role (XEP-0157)
	MaxFailures  int                    // failed logins of one account from one IPv4 address or IPv6 /64 before more are refused, one is forgiven a minute; default 10; below 0: any number
	MaxResources int                    // clients of one account; default 10
	Conflict     session.ConflictPolicy // when a resource is taken; default: the older client goes

	// Size and memory, in bytes.
	MaxStanza    int // largest stanza; default 256 KiB, at least MinStanza
	Outbox       int // what waits for one client that does not read; default 256 KiB
	UnauthMemory int // what is held for all clients that have not logged in, TLS handshakes included, half of it for one network at most; default 64 MiB, at least MinUnauthMemory
	RosterCache  int // rosters in memory; default 8 MiB

	// Connections.
	Pollers        int           // event loops; default: the CPUs
	Workers        int           // goroutines that read from the store; default 32
	FanoutRate     int           // deliveries to others that the clients of one account may cause in a second, five times as many at once; default 20,000; below 0: any number
	MaxPerAddress  int           // connections of one IPv4 address or IPv6 /64, loopback exempt; default 10,000; below 0: any number
	MaxAttempts    int           // connections that one of those may open in a minute, loopback exempt; default: three times MaxPerAddress; below 0: any number
	LoginTimeout   time.Duration // from connecting to binding a resource, the TLS handshake included; default 60 s
	IdleTimeout    time.Duration // a client that sends nothing for so long is closed; default 24 h; below 0: never
	UserTimeout    time.Duration // TCP_USER_TIMEOUT: bytes unacknowledged for so long; default 2 min; below 0: the system's
	KeepAlive      time.Duration // TCP keep-alive; default 0: none
	KeepaliveBatch time.Duration // while all that comes is keep-alives, they are read together this often; default 50 ms; below 0: at once
	Linger         time.Duration // wait for a client to take its last bytes and close; default 5 s
	GCPercent      int           // garbage in percent of what lives before Go collects it, more during storms; 0: the process's own setting
	DetachSlow     bool          // a client that does not read is given Linger to take what is queued

	// Messages.
	OfflineQuota   int   // messages kept for one account; default 1,000; below 0: none
	OfflineBytes   int64 // bytes of the messages kept for one account; default 8 MiB
	OfflineShare   int   // percent of both that the messages of one sender may take, 1 to 100; default 50
	DeliverHighest bool  // a message to a bare JID goes to the highest priority only, not to all

	Logger *slog.Logger // nil discards
}

// largeResult is the largest stanza, in bytes, that is written to a client with
// nothing waiting for it, however small its outbox is: more than a roster has.
const largeResult = 4 << 20

// Defaults that other rooms have no opinion on.
const (
	defaultMaxPerAddress = 10000
	defaultIdleTimeout   = 24 * time.Hour
	defaultUserTimeout   = 2 * time.Minute
)

// attemptsFactor: after a restart all that may be there come back within a
// minute, some of them more than once.
const attemptsFactor = 3

func (c *Config) setDefaults() {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	span := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
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
	set(&c.MaxStanza, 256<<10)
	set(&c.Outbox, 256<<10)
	set(&c.UnauthMemory, 64<<20)
	set(&c.Pollers, runtime.GOMAXPROCS(0))
	set(&c.MaxPerAddress, defaultMaxPerAddress)
	set(&c.MaxAttempts, attemptsFactor*c.MaxPerAddress)
	span(&c.LoginTimeout, time.Minute)
	span(&c.IdleTimeout, defaultIdleTimeout)
	span(&c.UserTimeout, defaultUserTimeout)
	span(&c.KeepaliveBatch, 50*time.Millisecond)
	span(&c.Linger, 5*time.Second)
}

// FieldError is a mistake in one field of a Config.
type FieldError struct {
	Field string // its name, such as "Domains"
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
			mistake("Domains", "the domain %s is given twice: give it once", normal)
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
	if c.C2S == "" && c.C2STLS == "" {
		mistake("C2S", "there is no address to listen on")
	}
	for _, l := range []struct{ field, addr string }{{"C2S", c.C2S}, {"C2STLS", c.C2STLS}} {
		if err := checkAddr(l.addr); err != nil {
			mistake(l.field, "cannot listen on %q: %w; an address looks like :5222 or 192.0.2.1:5222", l.addr, err)
		}
	}
	if len(c.TLSCert) != len(c.TLSKey) {
		mistake("TLSKey", "%d certificate files and %d key files: each certificate needs its key", len(c.TLSCert), len(c.TLSKey))
	}
	if c.MaxStanza != 0 && c.MaxStanza < MinStanza {
		mistake("MaxStanza", "the largest stanza must be at least %d bytes (RFC 6120 section 13.12)", MinStanza)
	}
	if c.UnauthMemory != 0 && c.UnauthMemory < MinUnauthMemory {
		mistake("UnauthMemory", "the memory for clients that have not logged in (%d bytes) must be at least %d bytes", c.UnauthMemory, MinUnauthMemory)
	}
	if c.Outbox != 0 && c.Outbox < c.MaxStanza {
		mistake("Outbox", "the outbox (%d bytes) must hold the largest stanza (%d bytes)", c.Outbox, c.MaxStanza)
	}
	if c.OfflineShare < 0 || c.OfflineShare > 100 {
		mistake("OfflineShare", "the share of one sender must be 1 to 100 percent, not %d", c.OfflineShare)
	}
	if c.OfflineBytes < 0 {
		mistake("OfflineBytes", "the messages kept for one account cannot have %d bytes", c.OfflineBytes)
	}
	if err := xep.CheckContacts(c.Contacts); err != nil {
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
		return errors.New("there is no such port")
	}
	return nil
}
