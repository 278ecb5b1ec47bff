// Package xep implements the server's protocol extensions: each extension has one file and
// one registration. A registration is a function that returns a router.Extension. Set.All
// lists them, and the rest of the program names none of them.
//
// Service discovery (disco.go), the table in docs/extensions.md and a test that requires a
// dialogue for every extension are derived from the registrations.
package xep

import (
	"hash/maphash"
	"runtime/debug"
	"sync/atomic"
	"time"

	"roost/internal/hot"
	"roost/internal/hourly"
	"roost/router"
	"roost/store"
)

// Config configures the extensions. A zero field means the default given for it, if any.
type Config struct {
	// Register lets clients create accounts, and remove their own, in-band (XEP-0077).
	// Changing one's own password is always possible.
	Register bool `reload:"yes"`

	// Invitations says who may invite people to create accounts in-band (XEP-0401, XEP-0445),
	// also without Register.
	Invitations InvitePolicy `reload:"yes"`

	// InvitationLife is how long a user's invitation is valid; default 7 days.
	InvitationLife time.Duration `reload:"yes: new invitations"`

	// MaxInvitations is how many invitations that have not ended an account may have, whether
	// they were used or not; default 10.
	MaxInvitations int `reload:"yes"`

	// LandingPage returns the URL of the page for an invitation, or "" if there is none; nil:
	// there is none.
	LandingPage func(domain, token string) string `reload:"-"`

	// RegisterPerHour is how many accounts the clients of one address may try to create in
	// an hour, in any distribution over the hour, and how many tokens of invitations they may
	// try; default 60; negative means no limit. An IPv6 address stands for its /64. Loopback is
	// exempt. It is also how many usernames an account may ask for in an hour with the command
	// that creates invitations.
	RegisterPerHour int `reload:"yes"`

	// HoldNames is how long the name of a deleted account cannot be registered again, at
	// most store.HoldLimit; default 30 days; negative means that it can be at once.
	HoldNames time.Duration `reload:"yes"`

	// Iterations is the iteration count of the key derivation for new passwords; default
	// store.DefaultIterations.
	Iterations int `reload:"yes: new passwords"`

	// Contacts are the contact addresses of the server's operators (XEP-0157): lists of
	// URIs by role. CheckContacts validates them.
	Contacts map[string][]string `reload:"yes"`

	// OutageStatus are the URLs at which clients find out about outages (XEP-0455).
	// CheckOutageStatus validates them.
	OutageStatus []string `reload:"yes"`

	// Version is the software version that XEP-0092 returns; default: that of the build.
	Version string `reload:"-"`

	PrivateSize  int `reload:"yes"` // largest value in private storage, in bytes; default 64 KiB
	PrivateCount int `reload:"yes"` // number of values in one account's private storage; default 100
	PrivateBytes int `reload:"yes"` // total size of those values, in bytes; default 1 MiB
	VCardSize    int `reload:"yes"` // largest vCard, in bytes; default 128 KiB
}

// WithDefaults returns c with defaults for the fields that are zero.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.RegisterPerHour, 60)
	set(&c.MaxInvitations, 10)
	if c.InvitationLife == 0 {
		c.InvitationLife = 7 * 24 * time.Hour
	}
	if c.HoldNames == 0 {
		c.HoldNames = 30 * 24 * time.Hour
	}
	set(&c.Iterations, store.DefaultIterations)
	set(&c.PrivateSize, 64<<10)
	set(&c.PrivateCount, 100)
	set(&c.PrivateBytes, 1<<20)
	set(&c.VCardSize, 128<<10)
	if c.Version == "" {
		c.Version = buildVersion()
	}
	return c
}

// buildVersion returns the version that the Go tool recorded in the program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// Set is all extensions of one router.
type Set struct {
	settings  atomic.Pointer[Config]
	names     *hourly.Limit[uint64] // of usernames that accounts ask for; by a hash of the account
	seed      maphash.Seed
	registrar registrar
	discovery discovery
	commander commander
	limits    atomic.Pointer[StreamLimits] // nil: clients are told none
}

// New returns the extensions with these settings.
func New(cfg Config) *Set {
	x := &Set{names: hourly.New(^uint64(0)), seed: maphash.MakeSeed()}
	x.registrar.x, x.registrar.limit, x.registrar.tokens = x, newLimiter(), newLimiter()
	x.registrar.passwords = hourly.New(^uint64(0))
	x.registrar.passwords.Set(maxPasswordChanges)
	x.commander.all = x.invitationCommands()
	x.discovery.commands = &x.commander
	x.apply(cfg.WithDefaults())
	return x
}

// SetConfig gives the extensions the values of those fields of cfg that may change (tag
// reload), and ignores the others, also while the router runs. Two calls must not overlap.
func (x *Set) SetConfig(cfg Config) {
	x.apply(hot.Merge(*x.config(), cfg.WithDefaults()))
	x.discovery.update()
}

func (x *Set) apply(cfg Config) {
	x.settings.Store(&cfg)
	x.registrar.limit.set(cfg.RegisterPerHour)
	x.registrar.tokens.set(cfg.RegisterPerHour)
	x.names.Set(max(cfg.RegisterPerHour, 0))
}

// config returns the present settings, which are immutable: a change replaces them.
func (x *Set) config() *Config { return x.settings.Load() }

// All returns the extensions. Each has its own file in this package.
func (x *Set) All() []router.Extension {
	return []router.Extension{
		disco(&x.discovery),
		caps(&x.discovery),
		lastActivity(),
		private(x),
		vcard(x),
		registration(&x.registrar),
		preauth(&x.registrar),
		commands(&x.commander),
		invitation(),
		version(x),
		contact(x),
		outage(x),
		ping(),
		entityTime(),
		streamManagement(),
		limits(x),
		messageCarbons(),
	}
}

// subscribed reports whether the requesting entity may see the presence of the account that
// the request is about: see router.Router.Sees. It may wait for the store.
func subscribed(rq *router.Request) (bool, error) {
	return rq.Router.Sees(rq.Turn, rq.From, rq.Account())
}
