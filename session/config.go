package session

import (
	"io"
	"log/slog"
	"runtime"
	"time"

	"roost/parser"
	"roost/store"
)

// ConflictPolicy selects what happens when a client binds a resource that another session
// of its account uses ([RFC 6120 section 7.7.2.2]).
//
// [RFC 6120 section 7.7.2.2]: https://www.rfc-editor.org/rfc/rfc6120#section-7.7.2.2
type ConflictPolicy uint8

// The policies for a resource conflict.
const (
	KickOld   ConflictPolicy = iota // the older stream is closed with <conflict/>; the default
	RefuseNew                       // the new client gets the stanza error <conflict/>
	RenameNew                       // the server generates another resource for the new client
)

// Config configures a Manager. A zero value takes the default, where the comment gives one.
// A limit or time whose comment says "below 0" is disabled by a negative value.
type Config struct {
	Domains        []string       `reload:"yes"` // domainparts to serve, normalized; at least one
	Accounts       Accounts       `reload:"-"`   // required
	Router         Router         `reload:"-"`   // required
	Tokens         store.Blobs    `reload:"-"`   // where the keys of tokens are stored; nil: FAST (XEP-0484) is not offered
	Secret         []byte         `reload:"-"`   // key for the salts of accounts that do not exist; must not change at a restart
	Limits         parser.Limits  // the parser's limits
	Loops          int            `reload:"-"`                                     // number of event loops; default 1
	Workers        int            `reload:"no: the workers start with the server"` // goroutines that read from the store; default 32
	Writers        int            `reload:"no: the workers start with the server"` // maximum number of goroutines that wait for writes of the store; default 1,024
	WriteMemory    int            `reload:"yes"`                                   // maximum memory of stanzas that wait for writes of the store or for keys, in bytes; default 64 MiB
	KeyWorkers     int            `reload:"no: the workers start with the server"` // goroutines that derive keys; default half the CPUs, at least 1
	TLS            TLSFunc        `reload:"-"`                                     // TLS configuration for STARTTLS; nil: STARTTLS is not offered
	AllowPlaintext bool           `reload:"yes"`                                   // allow logins without TLS
	MaxFailures    int            `reload:"yes"`                                   // failed logins of one account from one network before further attempts are refused; one is forgiven per minute; default 10; below 0: no limits and no delays
	FailureDelay   time.Duration  `reload:"yes"`                                   // delay of the response to the first failed login, doubled for each further one; default 500 ms; below 0: no delay
	FanoutRate     int            `reload:"yes"`                                   // deliveries per second that the clients of one account may cause, with a burst of five seconds' worth; default 20,000; below 0: unlimited
	MaxResources   int            `reload:"yes: new sessions"`                     // maximum number of sessions per account; default 10
	Conflict       ConflictPolicy `reload:"yes"`                                   // what to do about a resource that is in use; default KickOld
	Iterations     int            `reload:"yes"`                                   // iteration count of the keys that are added to accounts which lack them; default store.DefaultIterations
	TokenLife      time.Duration  `reload:"yes"`                                   // how long a token (FAST, XEP-0484) is valid; default 21 days; below 0: no tokens are issued or accepted
	LingerSlow     bool           `reload:"yes"`                                   // give a client whose outbox overflowed time (Linger) to read it, instead of closing at once
	LoginTimeout   time.Duration  `reload:"yes: new connections"`                  // maximum time from accept to binding; default 60 s
	Linger         time.Duration  `reload:"yes"`                                   // maximum wait for the peer's close; default 5 s
	AckTimeout     time.Duration  `reload:"yes"`                                   // how long a client may take to respond to a request for an acknowledgement (XEP-0198); default 60 s; below 0: unlimited
	AckInterval    time.Duration  `reload:"yes"`                                   // least time between requests for acknowledgements to one client, unless many stanzas wait; default 1 s; below 0: at the end of every turn
	ResumeTimeout  time.Duration  `reload:"yes"`                                   // how long a session without a connection waits for its client to resume it (XEP-0198), at most 8 hours; default 10 min; below 0: sessions cannot be resumed
	Unacked        int            `reload:"yes"`                                   // size of the stanzas that one client has not acknowledged, in bytes; default 1 MiB
	UnackedMemory  int64          `reload:"yes"`                                   // size of such stanzas of all clients, in bytes; each may always have 16 KiB; default 256 MiB
	Shards         int            `reload:"no: the tables are made at the start"`  // number of shards of the session table; default 256
	Logger         *slog.Logger   `reload:"-"`                                     // nil discards

	// Blocked reports whether an account, a bare JID, may not log in, and what its client
	// is told. It is called after the client has proved that it knows the password, and
	// must not block. Nil: none is blocked.
	Blocked func(account string) (text string, blocked bool) `reload:"-"`

	// Sent is called with each unit that is sent (see Session.SendBytes), before it is
	// queued, from any goroutine. It must not keep b. It is for tests; nil: nothing is
	// called.
	Sent func(b []byte) `reload:"-"`
}

// WithDefaults returns a copy of c with the default in each field that is zero, or negative
// where a negative value does not disable anything.
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
	set(&c.Iterations, store.DefaultIterations)
	set(&c.Shards, 256)
	if c.FailureDelay == 0 {
		c.FailureDelay = 500 * time.Millisecond
	}
	setTime(&c.LoginTimeout, time.Minute)
	setTime(&c.Linger, 5*time.Second)
	if c.TokenLife == 0 {
		c.TokenLife = 21 * 24 * time.Hour
	}
	if c.AckInterval == 0 {
		c.AckInterval = time.Second
	}
	if c.AckTimeout == 0 {
		c.AckTimeout = time.Minute
	}
	if c.ResumeTimeout == 0 {
		c.ResumeTimeout = 10 * time.Minute
	}
	set(&c.Unacked, 1<<20)
	if c.UnackedMemory <= 0 {
		c.UnackedMemory = 256 << 20
	}
	c.Limits = c.Limits.WithDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}
