package session

import (
	"log/slog"
	"strings"

	"roost/internal/loglimit"
)

// maxLoggedJID is the maximum length of an address in the log of failed logins, in bytes.
const maxLoggedJID = 128

// loginLog logs failed logins at a limited rate: the operator sees which accounts are
// attacked and from where, and an attacker cannot fill the disk.
type loginLog struct {
	log   *slog.Logger
	limit *loglimit.Limit
}

func newLoginLog(log *slog.Logger) loginLog {
	return loginLog{log, loglimit.New(log, "more logins failed than are logged")}
}

// failed logs a failed login. It never gets a password. The name that a client sent may be
// a password typed into the wrong field, so account is the address of an existing account,
// or empty.
func (l *loginLog) failed(account, mechanism, reason, network string) {
	if !l.limit.Allow() {
		return
	}
	if len(account) > maxLoggedJID {
		account = strings.ToValidUTF8(account[:maxLoggedJID], "") + "…"
	}
	l.log.Info("login failed", "jid", account, "mechanism", mechanism, "reason", reason, "network", network)
}
