package session

import (
	"cmp"
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
	// Domains are the domainparts to serve, normalized; at least one.
	Domains []string `reload:"yes"`

	// Accounts and Router are required.
	Accounts Accounts `reload:"-"`
	Router   Router   `reload:"-"`

	// Tokens is where the keys of tokens are stored; nil: FAST (XEP-0484) is not offered.
	Tokens store.Blobs `reload:"-"`

	// Secret is the key from which salts of accounts that do not exist, tokens and resumption
	// IDs are derived. It must stay the same over restarts, and on all nodes of a cluster.
	Secret []byte `reload:"-"`

	// TLS returns the configuration for STARTTLS; nil: STARTTLS is not offered.
	TLS TLSFunc `reload:"-"`

	// AllowPlaintext allows logins without TLS.
	AllowPlaintext bool `reload:"yes"`

	// Loops is the number of event loops; default 1.
	Loops int `reload:"-"`

	// Shards is the number of shards of the session table; default 256.
	Shards int `reload:"no: the tables are made at the start"`

	// Workers is the number of goroutines that read from the store; default 32.
	Workers int `reload:"no: the workers start with the server"`

	// Writers limits the number of goroutines that wait for writes of the store; default 1,024.
	Writers int `reload:"no: the workers start with the server"`

	// KeyWorkers is the number of goroutines that derive keys; default half the CPUs, at
	// least 1.
	KeyWorkers int `reload:"no: the workers start with the server"`

	// WriteMemory limits the memory of stanzas that wait for writes of the store or for keys,
	// in bytes; default 64 MiB.
	WriteMemory int `reload:"yes"`

	// PartialMemory limits the memory of stanzas of all clients together that have not arrived
	// completely, in bytes; at least 16 times Limits.MaxStanza. Each client may always have
	// 48 KiB. Default 64 MiB.
	PartialMemory int `reload:"yes"`

	// Limits are the parser's limits.
	Limits parser.Limits

	// LoginTimeout limits the time from accepting a connection to binding; default 60 s.
	LoginTimeout time.Duration `reload:"yes: new connections"`

	// MaxFailures is the number of failed logins of one account from one network before
	// further attempts are refused. One failure is forgiven per minute. Default 10; below 0: no
	// limits and no delays.
	MaxFailures int `reload:"yes"`

	// FailureDelay is the delay of the response to the first failed login; it doubles with
	// each further one. Default 500 ms; below 0: no delay.
	FailureDelay time.Duration `reload:"yes"`

	// Iterations is the iteration count of keys that are added to accounts which lack them;
	// default store.DefaultIterations.
	Iterations int `reload:"yes"`

	// TokenLife is how long a token (FAST, XEP-0484) is valid; default 21 days; below 0: no
	// tokens are issued or accepted.
	TokenLife time.Duration `reload:"yes"`

	// Blocked reports whether an account, a bare JID, may not log in, and what its client
	// is told. It is called after the client has proved that it knows the password, and
	// must not block. Nil: none is blocked.
	Blocked func(account string) (text string, blocked bool) `reload:"-"`

	// MaxResources limits the number of sessions per account; default 10.
	MaxResources int `reload:"yes: new sessions"`

	// Conflict says what to do about a resource that is in use; default KickOld.
	Conflict ConflictPolicy `reload:"yes"`

	// FanoutRate limits the deliveries per second that the clients of one account may cause,
	// with a burst of five seconds' worth; default 20,000; below 0: no limit.
	FanoutRate int `reload:"yes"`

	// Linger limits how long a connection waits for the peer's close; default 5 s.
	Linger time.Duration `reload:"yes"`

	// LingerSlow gives a client whose outbox was full the time of Linger to read what is
	// queued, instead of closing its connection at once.
	LingerSlow bool `reload:"yes"`

	// AckTimeout is how long a client may take to respond to a request for an acknowledgement
	// (XEP-0198); default 60 s; below 0: as long as it likes.
	AckTimeout time.Duration `reload:"yes"`

	// AckInterval is the least time between two such requests to one client, unless many
	// stanzas wait; default 1 s; below 0: a request at the end of every turn.
	AckInterval time.Duration `reload:"yes"`

	// ResumeTimeout is how long a session without a connection waits for its client to resume
	// it (XEP-0198), at most 8 hours; default 10 min; below 0: sessions cannot be resumed.
	ResumeTimeout time.Duration `reload:"yes"`

	// Unacked limits the size of the stanzas that one client has not acknowledged, in bytes;
	// default 1 MiB.
	Unacked int `reload:"yes"`

	// UnackedMemory limits the size of such stanzas of all clients together, in bytes. Beyond
	// it, the sessions of the accounts with the most end; each client may always have 16 KiB.
	// Default 256 MiB.
	UnackedMemory int64 `reload:"yes"`

	// Logger gets the log; nil discards it.
	Logger *slog.Logger `reload:"-"`

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
	set(&c.PartialMemory, 64<<20)
	c.FanoutRate = cmp.Or(c.FanoutRate, 20000)
	c.MaxFailures = cmp.Or(c.MaxFailures, 10)
	set(&c.MaxResources, 10)
	set(&c.Iterations, store.DefaultIterations)
	set(&c.Shards, 256)
	setTime(&c.LoginTimeout, time.Minute)
	setTime(&c.Linger, 5*time.Second)
	c.FailureDelay = cmp.Or(c.FailureDelay, 500*time.Millisecond)
	c.TokenLife = cmp.Or(c.TokenLife, 21*24*time.Hour)
	c.AckInterval = cmp.Or(c.AckInterval, time.Second)
	c.AckTimeout = cmp.Or(c.AckTimeout, time.Minute)
	c.ResumeTimeout = cmp.Or(c.ResumeTimeout, 10*time.Minute)
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
