package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/server"
)

// The largest values of flags. They guard against typos, and against what would
// overflow or what the kernel would silently ignore.
const (
	maxPollers     = 1024
	maxWorkers     = 10000
	maxCount       = 1_000_000_000 // a few times as many still fit an int32 or an int64
	maxStanza      = 64 << 20      // what the parser takes at most, in bytes
	maxOutbox      = 1 << 30       // bytes
	maxTime        = 365 * 24 * time.Hour
	maxKeepalive   = 9 * time.Hour   // TCP_KEEPIDLE is 32,767 seconds at most
	maxUserTimeout = 596 * time.Hour // TCP_USER_TIMEOUT is an int32 of milliseconds
)

// Other limits of flags, in bytes.
const (
	minMemoryLimit = 32 << 20 // below what a server without clients needs, the garbage collector would never stop
	minCache       = 1 << 10
	maxMemory      = maxByteSize
)

// off turns a limit off, where a flag allows that. 0 does not: the server takes it
// for its default, and on the command line, where the defaults are written out, it
// would only hide a mistake.
const (
	off     = -1
	offTime = -time.Second
)

// mistake is what is wrong with the value of a flag.
type mistake struct{ flag, text string }

// mistakes says which flags have values that they cannot have.
func (c *serveFlags) mistakes() (wrong []mistake) {
	add := func(flag, problem string) {
		if problem != "" {
			wrong = append(wrong, mistake{flag, "--" + flag + " " + problem})
		}
	}
	number := func(flag string, value, least, most int, also ...int) {
		add(flag, outside(func(n int) string { return fmt.Sprint(n) }, value, least, most, also))
	}
	size := func(flag string, value, least, most byteSize, also ...byteSize) {
		add(flag, outside(sizeText, value, least, most, also))
	}
	span := func(flag string, value, least, most time.Duration, also ...time.Duration) {
		add(flag, outside(timeText, value, least, most, also))
	}

	if len(c.Domain) == 0 {
		add("domain", "must name a domain, such as example.org")
	}

	number("handshakes", c.Handshakes, 1, 1<<20)
	number("max-register", c.MaxRegister, 1, maxCount, off)
	number("max-failures", c.MaxFailures, 1, maxCount, off)
	number("max-resources", c.MaxResources, 1, 1<<20)
	number("offline-quota", c.OfflineQuota, 0, maxCount)
	number("offline-share", c.OfflineShare, 1, 100)
	number("pollers", c.Pollers, 1, maxPollers)
	number("workers", c.Workers, 1, maxWorkers)
	number("fanout-rate", c.FanoutRate, 1, maxCount, off)
	number("max-per-address", c.MaxPerAddress, 1, maxCount, off)
	number("max-attempts", c.MaxAttempts, 0, maxCount, off) // 0: by --max-per-address

	size("offline-bytes", c.OfflineBytes, minCache, maxMemory)
	size("max-stanza", c.MaxStanza, server.MinStanza, maxStanza)
	size("outbox", c.Outbox, server.MinStanza, maxOutbox)
	size("unauth-memory", c.UnauthMemory, server.MinUnauthMemory, maxMemory)
	size("roster-cache", c.RosterCache, minCache, maxMemory)
	size("memory-limit", c.MemoryLimit, minMemoryLimit, maxMemory, 0)

	span("login-timeout", c.LoginTimeout, time.Millisecond, maxTime)
	span("idle-timeout", c.IdleTimeout, time.Millisecond, maxTime, offTime)
	span("user-timeout", c.UserTimeout, time.Millisecond, maxUserTimeout, offTime)
	span("keepalive", c.Keepalive, time.Second, maxKeepalive, 0)
	span("keepalive-batch", c.KeepaliveBatch, 0, time.Second)
	span("linger", c.Linger, time.Millisecond, maxTime)
	span("drain-timeout", c.DrainTimeout, 0, maxTime)
	return wrong
}

// outside says what is wrong with a value that is neither from least to most nor
// one of also, "" if nothing is.
func outside[T cmp.Ordered](text func(T) string, value, least, most T, also []T) string {
	if least <= value && value <= most || slices.Contains(also, value) {
		return ""
	}
	allowed := text(least) + " to " + text(most)
	for _, v := range also {
		allowed += ", or " + text(v)
	}
	return "must be " + allowed + ", not " + text(value)
}

// sizeText is a size as it can be written on the command line.
func sizeText(n byteSize) string {
	if n%(1<<10) != 0 || n == 0 {
		return fmt.Sprint(int(n))
	}
	return strings.Replace(humanize.IBytes(uint64(n)), ".0", "", 1)
}

// timeText is a time as it can be written on the command line, without what is
// zero at its end.
func timeText(d time.Duration) string {
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}
