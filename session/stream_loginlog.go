package session

import (
	"log/slog"
	"net/netip"
	"strings"

	"roost/internal/loglimit"
)

// maxLoggedJID is the maximum length of an address in the log of failed logins, in bytes.
const maxLoggedJID = 128

// loginLog logs failed logins at a limited rate: the operator sees which accounts are
// attacked and from where, and an attacker cannot fill the disk.
type loginLog struct {
	log    *slog.Logger
	limit  *loglimit.Limit
	errors *loglimit.Limit // of the server: while the store fails, all clients try to log in again and again
}

func newLoginLog(log *slog.Logger) loginLog {
	return loginLog{log, loglimit.New(log, "more logins failed than are logged"),
		loglimit.New(log, "more logins met server errors than are logged")}
}

func (l *loginLog) close() {
	l.limit.Close()
	l.errors.Close()
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

// fault logs an error of the server because of which the login of an account lacks something.
func (l *loginLog) fault(lacks, account string, err error) {
	if l.errors.Allow() {
		l.log.Error(lacks, "jid", account, "err", err)
	}
}

// broken logs a login that failed because of an error of the server.
func (l *loginLog) broken(peer netip.AddrPort, err error) {
	if l.errors.Allow() {
		l.log.Error("authentication failed because of a server error", "peer", peer, "err", err)
	}
}
