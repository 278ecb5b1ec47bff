package router

import (
	"io"
	"log/slog"

	"roost/store"
)

// Config configures a Router. A zero field means the default given for it, if any.
type Config struct {
	// Store is required.
	Store store.Store `reload:"-"`

	// Extensions are added to those of this package.
	Extensions []Extension `reload:"-"`

	// RosterCache is the memory for rosters, in bytes; default 8 MiB.
	RosterCache int `reload:"yes"`

	// MaxRoster limits the items of one roster, default 5,000, and RosterBytes its size in
	// XML, in bytes, default 2 MiB.
	MaxRoster   int `reload:"yes"`
	RosterBytes int `reload:"yes"`

	// MaxRequests limits the pending inbound subscription requests of one account; default
	// 500.
	MaxRequests int `reload:"yes"`

	// MaxBlocked limits the addresses that one account may block; default 1,000.
	MaxBlocked int `reload:"yes"`

	// MaxDirected limits the addresses that one resource may send directed presence to;
	// default 1,000.
	MaxDirected int `reload:"yes"`

	// MaxOffline limits the number of messages that are stored for one account, default 1,000
	// (negative: none are stored), and OfflineBytes their size in bytes, default 8 MiB.
	MaxOffline   int   `reload:"yes"`
	OfflineBytes int64 `reload:"yes"`

	// OfflineShare is the share of MaxOffline and OfflineBytes that one sender may use, in
	// percent; default 50.
	OfflineShare int `reload:"yes"`

	// OfflineDays is the number of days for which a message is stored; 0 or below: until it
	// is delivered.
	OfflineDays int `reload:"yes"`

	// StrangerMessages limits the messages per hour that an account may send to addresses
	// that do not know it, and SubscriptionRequests the subscription requests per hour that it
	// may send; 0 or below: no limit. Exempt are the bare JIDs of accounts without these limits.
	StrangerMessages     int      `reload:"yes"`
	SubscriptionRequests int      `reload:"yes"`
	Exempt               []string `reload:"yes"`

	// HighestOnly delivers a message to a bare JID only to the resources with the highest
	// priority, not to all.
	HighestOnly bool `reload:"yes"`

	// Durable stores each message before it is delivered and acknowledged to its sender, and
	// deletes it when a client has it. It needs MaxOffline > 0.
	Durable bool `reload:"no: sessions have messages that are in the store, or that are not"`

	// PageBytes is the size in bytes of the pages in which offline messages are read and
	// sent; default 64 KiB.
	PageBytes int `reload:"yes"`

	// Logger gets the log; nil discards it.
	Logger *slog.Logger `reload:"-"`
}

// WithDefaults returns c with defaults for the fields that are zero.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.RosterCache, 8<<20)
	set(&c.MaxRoster, 5000)
	set(&c.RosterBytes, 2<<20)
	set(&c.MaxRequests, 500)
	set(&c.MaxBlocked, 1000)
	set(&c.MaxDirected, 1000)
	set(&c.MaxOffline, 1000)
	set(&c.OfflineShare, 50)
	if c.OfflineBytes == 0 {
		c.OfflineBytes = 8 << 20
	}
	set(&c.PageBytes, 64<<10)
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}
