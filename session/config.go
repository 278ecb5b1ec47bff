package session

import (
	"io"
	"log/slog"
	"runtime"
	"time"

	"roost/parser"
)

// ConflictPolicy says what happens when a client binds a resource that another
// session of its account has (RFC 6120 section 7.7.2.2).
type ConflictPolicy uint8

// The policies for a resource conflict.
const (
	KickOld   ConflictPolicy = iota // the older stream is closed with <conflict/>; the default
	RefuseNew                       // the new client gets the stanza error <conflict/>
	RenameNew                       // the new client gets another resource
)

// Config is what a Manager needs. A zero value takes the default given, where one is
// given. A limit or time whose comment says "below 0" is turned off by a negative value.
type Config struct {
	Domains        []string       // domainparts that are served, normalized; at least one
	Accounts       Accounts       // required
	Router         Router         // required
	Secret         []byte         // for salts of accounts that do not exist; the same after a restart
	Limits         parser.Limits  // of the parser
	Loops          int            // loops that call sessions; default 1
	Workers        int            // goroutines that read from the store; default 32
	Writers        int            // goroutines that wait for the store to write, at most; default 1,024
	WriteMemory    int            // bytes of stanzas that wait for the store to write, or for keys; default 64 MiB
	KeyWorkers     int            // goroutines that derive keys; default half the CPUs, at least 1
	TLS            TLSFunc        // of STARTTLS; nil: not offered
	AllowPlaintext bool           // logins without TLS are allowed
	MaxFailures    int            // failed logins of one account from one network before more are refused, one is forgiven a minute; default 10; below 0: nothing is limited or delayed
	FailureDelay   time.Duration  // of the response to the first failed login, doubles with each; default 500 ms; below 0: none
	FanoutRate     int            // deliveries to others that the clients of one account may cause in a second, five seconds' worth of them at once; default 20,000; below 0: any number
	MaxResources   int            // sessions per account; default 10
	Conflict       ConflictPolicy // default KickOld
	DetachSlow     bool           // give a slow client time to take what is queued, instead of closing at once
	LoginTimeout   time.Duration  // from accept to binding; default 60 s
	Linger         time.Duration  // wait for the peer's close; default 5 s
	Shards         int            // of the session table; default 256
	Logger         *slog.Logger   // nil discards

	// Sent is called with each unit that is sent (see Session.SendBytes), before it is
	// queued, from any goroutine; for tests. It must not keep b. nil: nothing is called.
	Sent func(b []byte)
}

// WithDefaults returns c with the default in each field that is zero, or negative
// where that does not turn anything off.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	setLimit := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	setTime := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&c.Loops, 1)
	set(&c.Workers, 32)
	set(&c.Writers, defaultWriters)
	set(&c.KeyWorkers, max(1, runtime.GOMAXPROCS(0)/2))
	set(&c.WriteMemory, 64<<20)
	setLimit(&c.FanoutRate, 20000)
	setLimit(&c.MaxFailures, 10)
	set(&c.MaxResources, 10)
	set(&c.Shards, 256)
	if c.FailureDelay == 0 {
		c.FailureDelay = 500 * time.Millisecond
	}
	setTime(&c.LoginTimeout, time.Minute)
	setTime(&c.Linger, 5*time.Second)
	c.Limits = c.Limits.WithDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}
