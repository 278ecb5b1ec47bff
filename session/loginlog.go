package session

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// loginLines is how many failed logins are logged in a minute; of the others the
// number is.
const loginLines = 20

// maxLoggedJID is the longest address in a line about a failed login, in bytes.
const maxLoggedJID = 128

// loginLog logs failed logins, so that the operator sees who is attacked and from
// where, and no attacker can fill the disk.
type loginLog struct {
	log *slog.Logger

	mu      sync.Mutex
	lines   int         // of this minute
	omitted int         // of this minute
	minute  *time.Timer // runs while there is anything to count
}

// failed logs a failed login. It is never told a password. What a client gave as
// its name may be one, typed into the wrong field: account is the address of an
// account that exists, or empty.
func (l *loginLog) failed(account, mechanism, reason, network string) {
	if !l.mayLog() {
		return
	}
	if len(account) > maxLoggedJID {
		account = strings.ToValidUTF8(account[:maxLoggedJID], "") + "…"
	}
	l.log.Info("login failed", "jid", account, "mechanism", mechanism, "reason", reason, "network", network)
}

// mayLog counts a failed login and reports whether there is a line for it.
func (l *loginLog) mayLog() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.minute == nil {
		l.minute = time.AfterFunc(time.Minute, l.report)
	}
	if l.lines == loginLines {
		l.omitted++
		return false
	}
	l.lines++
	return true
}

// report ends a minute.
func (l *loginLog) report() {
	l.mu.Lock()
	omitted := l.omitted
	l.lines, l.omitted, l.minute = 0, 0, nil
	l.mu.Unlock()
	if omitted > 0 {
		l.log.Info("more logins failed than are logged", "lines", omitted)
	}
}

// close reports what is left.
func (l *loginLog) close() {
	l.mu.Lock()
	runs := l.minute != nil && l.minute.Stop()
	l.mu.Unlock()
	if runs {
		l.report()
	}
}
