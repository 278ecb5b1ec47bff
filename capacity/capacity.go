// Package capacity says whether a machine can hold a number of clients: what its
// kernel allows, what the clients will cost in memory and CPU time, whether the
// certificates are good and the database is well. Every check says what it found,
// what is needed, and the command that fixes it.
//
// The checks are pure: what they know of the machine they read from /proc and
// /sys through an fs.FS, so that any machine can be made up in a test. Nothing is
// ever changed.
package capacity

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/dustin/go-humanize"
)

// Status is what came out of a check. Higher is worse.
type Status uint8

// The outcomes.
const (
	OK   Status = iota // enough, or it does not matter here
	Warn               // it holds, but something will be slower or worse than it need be, or it could not be found out
	Fail               // it does not hold so many clients
)

// String is ok, warn or fail.
func (s Status) String() string {
	return [...]string{"ok", "warn", "fail"}[s]
}

// MarshalText makes a status its word in JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Check is what was found about one thing.
type Check struct {
	Name        string   `json:"name"`                   // stays the same from version to version, such as "open-files"
	Area        string   `json:"area"`                   // heading: files, network, memory, cpu, tls or store
	Title       string   `json:"title"`                  // for people, such as "open files of a process"
	Status      Status   `json:"status"`                 // "ok", "warn" or "fail"
	Found       string   `json:"found"`                  // what there is
	Needs       string   `json:"needs"`                  // what that many sessions need; empty where nothing is needed
	MaxSessions *int64   `json:"max_sessions,omitempty"` // sessions that this allows; missing where it sets no limit
	Detail      []string `json:"detail,omitempty"`       // the arithmetic, or what else is to be known
	Fix         []string `json:"fix,omitempty"`          // commands or settings, each a line; only where the status is not ok
}

// Plan is what a machine is to hold.
type Plan struct {
	Sessions    int           // clients, connected and online
	Plain       bool          // without TLS
	StdTLS      bool          // TLS sessions stay with crypto/tls: --tls-lean=false, or clients that know only TLS 1.2
	Handshakes  int           // TLS handshakes at once; default 1,024
	MemoryLimit int64         // bytes the Go runtime keeps to (--memory-limit, GOMEMLIMIT); 0: no limit
	GCPercent   int           // garbage in percent of what lives before it is collected (GOGC); default 25, as roost serve sets it
	Loopback    bool          // clients come from this machine: there is a proxy in front, or a load generator
	RosterCache int64         // bytes of rosters that the server keeps in memory; default 8 MiB
	LoginTime   time.Duration // after it a client whose login has not ended is cut off; default 60 s
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

// Host is the machine.
type Host struct {
	Root     fs.FS // where proc and sys are; os.DirFS("/") for this machine
	PageSize int   // bytes; default: this machine's
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

// Overall returns the worst status of checks, and how many of them failed and warned.
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

// MaxSessions returns how many sessions the checks allow, and the check that allows no
// more; nil when none of them sets a limit.
func MaxSessions(checks []Check) (sessions int64, limit *Check) {
	for i := range checks {
		if h := checks[i].MaxSessions; h != nil && (limit == nil || *h < sessions) {
			sessions, limit = *h, &checks[i]
		}
	}
	return sessions, limit
}

// allow sets the number of sessions that a check allows.
func (c *Check) allow(n int64) {
	n = max(0, n)
	c.MaxSessions = &n
}

// unknown is the outcome when a file could not be read, which is never the
// machine's fault alone: inside containers some are hidden.
func unknown(c Check, err error) Check {
	c.Status, c.Found = Warn, "cannot be read"
	c.Detail = []string{err.Error()}
	return c
}

// number writes a count with commas, and one that no machine reaches in words.
func number(n int64) string {
	if n > 1e15 {
		return "unlimited"
	}
	return humanize.Comma(n)
}

// size writes bytes.
func size(n int64) string {
	if n < 0 {
		return "-" + size(-n)
	}
	return humanize.IBytes(uint64(n))
}

// roundUp makes a suggestion a round number.
func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// sysctl is the command that sets a value now; docs/tuning.md and
// deploy/90-roost.conf make it last.
func sysctl(key string, value any) string {
	if text, ok := value.(string); ok {
		value = fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("sysctl -w %s=%v", key, value)
}
