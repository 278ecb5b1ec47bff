// Package xep holds the protocol extensions of the server: one file, one
// extension, one registration. A registration is a function that returns a
// router.Extension; All lists them, and nothing else in the program names one.
//
// Service discovery (disco.go), the table in docs/extensions.md and a test that
// demands a dialogue for every extension are fed from the registrations.
package xep

import (
	"runtime/debug"

	"roost/router"
	"roost/store"
)

// Config is what the extensions can be told. A zero value takes the default given,
// where one is given.
type Config struct {
	// Register lets clients create accounts, and remove their own, in-band
	// (XEP-0077). Changing the own password is always possible.
	Register bool

	// RegisterPerHour is how many accounts clients of one address may try to
	// create in an hour, all of them at once if they like; default 60; below 0:
	// any number. An IPv6 address stands for its /64. Loopback is exempt.
	RegisterPerHour int

	// Iterations of the key derivation of new passwords; default
	// store.DefaultIterations.
	Iterations int

	// Contacts are the addresses of those who run the server (XEP-0157): lists
	// of URIs by role. CheckContacts tells what is wrong with them.
	Contacts map[string][]string

	// Version of the software that XEP-0092 tells; default: that of the build.
	Version string

	PrivateSize  int // largest value in private storage, in bytes; default 64 KiB
	PrivateCount int // values in one account's private storage; default 100
	PrivateBytes int // bytes of all those values; default 1 MiB
	VCardSize    int // largest vcard, in bytes; default 128 KiB
}

// WithDefaults returns c with the default in each field that is zero.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.RegisterPerHour, 60)
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

// buildVersion is the version that the Go tool wrote into the program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// All lists the extensions. Each has a file of its own here.
func All(cfg Config) []router.Extension {
	cfg = cfg.WithDefaults()
	return []router.Extension{
		disco(),
		caps(),
		lastActivity(),
		private(cfg),
		vcard(cfg),
		registration(cfg),
		version(cfg),
		contact(cfg),
		ping(),
		entityTime(),
	}
}

// subscribed reports whether the account that is asked about lets the asker see
// its presence. Nobody is subscribed to an account that does not exist, so that
// whoever answers strangers alike tells nothing of that. It may wait for the
// store.
func subscribed(rq *router.Request) (bool, error) {
	ro, err := rq.Router.Roster(rq.Account())
	if err != nil {
		return false, err
	}
	return ro.Subscribed(rq.From.JID().BareString()), nil
}
