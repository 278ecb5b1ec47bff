// Package capacity checks whether a machine can serve a given number of clients: the
// limits of its kernel, the memory and CPU time that the clients need, the certificates,
// and the database. Every check reports what it found, what is needed, and the command
// that fixes the problem.
//
// The checks change nothing. They read the machine's state from /proc and /sys through an
// fs.FS, so that a test can simulate any machine.
package capacity

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/dustin/go-humanize"
)

// Status is the result of a check. Higher is worse.
type Status uint8

// The results of a check.
const (
	OK   Status = iota // enough, or irrelevant on this machine
	Warn               // works, but something is slower or worse than necessary, or could not be determined
	Fail               // the machine cannot serve that many clients
)

// String returns "ok", "warn" or "fail".
func (s Status) String() string {
	return [...]string{"ok", "warn", "fail"}[s]
}

// MarshalText encodes a status as a word, for JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Check is the result of one check.
type Check struct {
	Name        string   `json:"name"`                   // stable across versions, such as "open-files"
	Area        string   `json:"area"`                   // heading: files, network, memory, cpu, tls or store
	Title       string   `json:"title"`                  // human-readable, such as "open files of a process"
	Status      Status   `json:"status"`                 // "ok", "warn" or "fail"
	Found       string   `json:"found"`                  // current value
	Needs       string   `json:"needs"`                  // value required for that many sessions; empty if there is no requirement
	MaxSessions *int64   `json:"max_sessions,omitempty"` // sessions that this allows; nil if it sets no limit
	Detail      []string `json:"detail,omitempty"`       // the calculation, and further information
	Fix         []string `json:"fix,omitempty"`          // commands or settings, one per line; only if the status is not ok

	further bool // MaxSessions are sessions besides those that are online: it was found from what is free now
}

// Plan is the load that a machine has to serve.
type Plan struct {
	Sessions    int           // clients, connected and online
	Plain       bool          // without TLS
	StdTLS      bool          // TLS sessions stay with crypto/tls: --tls-lean=false, or clients that only support TLS 1.2
	Handshakes  int           // TLS handshakes at once; default 1,024
	MemoryLimit int64         // soft limit of the Go runtime in bytes (--memory-limit, GOMEMLIMIT); 0: no limit
	GCPercent   int           // garbage in percent of the live heap that triggers a collection (GOGC); default 25, as roost serve sets it
	Loopback    bool          // clients connect from this machine: a proxy in front of the server, or a load generator
	RosterCache int64         // limit of the server's roster cache in bytes; default 8 MiB
	LoginTime   time.Duration // time limit for a login; default 60 s
}

func (p Plan) withDefaults() Plan {
	if p.Handshakes <= 0 {
		p.Handshakes = 1024
	}
	if p.GCPercent <= 0 {
		p.GCPercent = 25
	}
	if p.RosterCache <= 0 {
		p.RosterCache = defaultRosterCache
	}
	if p.LoginTime <= 0 {
		p.LoginTime = time.Minute
	}
	return p
}

// Host describes the machine.
type Host struct {
	Root     fs.FS // contains proc and sys; os.DirFS("/") for this machine
	PageSize int   // bytes; default: page size of this machine
}

// ThisHost is the machine that the program runs on.
func ThisHost() Host { return Host{Root: os.DirFS("/")} }

func (h Host) pageSize() int64 {
	if h.PageSize > 0 {
		return int64(h.PageSize)
	}
	return int64(os.Getpagesize())
}

// Machine checks the machine: open files, network, memory and CPUs. It reads a
// few dozen small files of /proc and /sys.
func Machine(h Host, p Plan) []Check {
	p = p.withDefaults()
	var all []Check
	for _, check := range []func(Host, Plan) []Check{
		openFiles, network, conntrack, memory, paging, loginStorm,
	} {
		all = append(all, check(h, p)...)
	}
	return all
}

// Overall returns the worst status of checks, and the numbers of failures and warnings.
func Overall(checks []Check) (worst Status, failed, warned int) {
	for i := range checks {
		worst = max(worst, checks[i].Status)
		switch checks[i].Status {
		case Fail:
			failed++
		case Warn:
			warned++
		}
	}
	return worst, failed, warned
}

// MaxSessions returns the smallest number of sessions that any of the checks allows in
// total, and that check, if so many are online on this machine. The check is nil if none
// of them sets a limit.
func MaxSessions(checks []Check, online int64) (sessions int64, limit *Check) {
	for i := range checks {
		if n, ok := checks[i].total(online); ok && (limit == nil || n < sessions) {
			sessions, limit = n, &checks[i]
		}
	}
	return sessions, limit
}

// Remaining returns how many sessions each check allows besides those that are online, for
// the checks that set a limit.
func Remaining(checks []Check, online int64) map[string]int64 {
	all := make(map[string]int64)
	for i := range checks {
		if n, ok := checks[i].total(online); ok && n <= unlimited {
			all[checks[i].Name] = max(0, n-online)
		}
	}
	return all
}

// total returns how many sessions a check allows in total, those that are online included;
// ok is false if it sets no limit.
func (c *Check) total(online int64) (n int64, ok bool) {
	switch {
	case c.MaxSessions == nil:
		return 0, false
	case c.further:
		return min(*c.MaxSessions, math.MaxInt64-online) + online, true
	}
	return *c.MaxSessions, true
}

// allow sets the number of sessions that a check allows.
func (c *Check) allow(n int64) {
	n = max(0, n)
	c.MaxSessions = &n
}

// allowFurther sets the number of sessions that a check allows besides those online.
func (c *Check) allowFurther(n int64) {
	c.allow(n)
	c.further = true
}

// unknown is the result if a file cannot be read. That is not necessarily a fault of the
// machine: containers hide some files.
func unknown(c Check, err error) Check {
	c.Status, c.Found = Warn, "cannot be read"
	c.Detail = []string{err.Error()}
	return c
}

// unlimited is more than any machine reaches.
const unlimited = 1e15

// number formats a count with commas. A count that no machine reaches becomes words.
func number(n int64) string {
	if n > unlimited {
		return "unlimited"
	}
	return humanize.Comma(n)
}

// size formats a number of bytes.
func size(n int64) string {
	if n < 0 {
		return "-" + size(-n)
	}
	return humanize.IBytes(uint64(n))
}

// roundUp rounds a suggested value up to a multiple of to.
func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// sysctl returns the command that sets a value until the next boot; docs/tuning.md and
// deploy/90-roost.conf make it permanent.
func sysctl(key string, value any) string {
	if text, ok := value.(string); ok {
		value = fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("sysctl -w %s=%v", key, value)
}
