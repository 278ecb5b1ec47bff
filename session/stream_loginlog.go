package session

import (
	"log/slog"
	"strings"

	"roost/internal/loglimit"
)

// maxLoggedJID is the longest address in a line about a failed login, in bytes.
const maxLoggedJID = 128

// loginLog logs failed logins, so that the operator sees who is attacked and from
// where, and no attacker can fill the disk.
type loginLog struct {
	log   *slog.Logger
	limit *loglimit.Limit
}

func newLoginLog(log *slog.Logger) loginLog {
	return loginLog{log, loglimit.New(log, "more logins failed than are logged")}
}

// failed logs a failed login. It is never told a password. What a client gave as
// its name may be one, typed into the wrong field: account is the address of an
// account that exists, or empty.
func (l *loginLog) failed(account, mechanism, reason, network string) {
	if !l.limit.Allow() {
		return
	}
	if len(account) > maxLoggedJID {
		account = strings.ToValidUTF8(account[:maxLoggedJID], "") + "…"
	}
	l.log.Info("login failed", "jid", account, "mechanism", mechanism, "reason", reason, "network", network)
}
