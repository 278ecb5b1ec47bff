package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// maxPollers and maxWorkers keep a slip of the keyboard from starting a million
// goroutines; nobody's machine has use for so many.
const (
	maxPollers = 1024
	maxWorkers = 10000
)

// minMemoryLimit is the least that the garbage collector is told to keep to, in
// bytes: below what a server without clients needs, it would never rest.
const minMemoryLimit = 32 << 20

// mistakes says which flags have values that they cannot have. The server itself
// takes zero for its defaults; on the command line, where the defaults are
// written out, it would only hide a mistake.
func (c *serveFlags) mistakes() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	number := func(flag string, value, most int) {
		if value < 1 || value > most {
			say("--%s must be 1 to %d, not %d", flag, most, value)
		}
	}
	if len(c.Domain) == 0 {
		say("--domain must name a domain, such as example.org")
	}
	if c.MemoryLimit > 0 && c.MemoryLimit < minMemoryLimit {
		say("--memory-limit must be 0 or at least %s, not %s: roost check says what so many sessions need",
			humanize.IBytes(minMemoryLimit), humanize.IBytes(uint64(c.MemoryLimit)))
	}
	number("handshakes", c.Handshakes, 1<<20)
	number("max-resources", c.MaxResources, 1<<20)
	number("offline-share", c.OfflineShare, 100)
	number("pollers", c.Pollers, maxPollers)
	number("workers", c.Workers, maxWorkers)

	atLeast := func(flag string, value, least int) {
		if value < least {
			say("--%s must be %d or more, not %d", flag, least, value)
		}
	}
	atLeast("offline-quota", c.OfflineQuota, -1)
	atLeast("max-attempts", c.MaxAttempts, -1)
	if c.FanoutRate < 1 && c.FanoutRate != -1 {
		say("--fanout-rate must be 1 or more, or -1, not %d", c.FanoutRate)
	}
	if c.MaxPerAddress < 1 && c.MaxPerAddress != -1 {
		say("--max-per-address must be 1 or more, or -1, not %d", c.MaxPerAddress)
	}

	for _, size := range []struct {
		flag  string
		value byteSize
	}{{"max-stanza", c.MaxStanza}, {"outbox", c.Outbox}, {"unauth-memory", c.UnauthMemory}, {"roster-cache", c.RosterCache}, {"offline-bytes", c.OfflineBytes}} {
		if size.value < 1 {
			say("--%s must be more than 0", size.flag)
		}
	}

	for _, span := range []struct {
		flag  string
		value time.Duration
		zero  bool // 0 has a meaning
		never bool // -1s has one
	}{
		{"login-timeout", c.LoginTimeout, false, false},
		{"linger", c.Linger, false, false},
		{"drain-timeout", c.DrainTimeout, true, false},
		{"keepalive", c.Keepalive, true, false},
		{"rest", c.Rest, true, false},
		{"idle-timeout", c.IdleTimeout, true, true},
		{"user-timeout", c.UserTimeout, true, true},
	} {
		switch {
		case span.value > 0, span.value == 0 && span.zero, span.value == -time.Second && span.never:
		case span.never:
			say("--%s must be more than 0s, or -1s, not %v", span.flag, span.value)
		default:
			say("--%s must be more than 0s, not %v", span.flag, span.value)
		}
	}
	if c.Rest > time.Second {
		say("--rest must be 1s or less, not %v", c.Rest)
	}
	return wrong
}
