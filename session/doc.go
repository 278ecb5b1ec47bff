// Package session implements one client's stream, which is opened, secured,
// authenticated and bound (RFC 6120 sections 4 to 7), and the sharded tables
// that find a bound session by its address.
//
// # Ownership
//
// A session's input is handled by one goroutine at a time: that of the loop
// which owns its connection or, while the session is busy with something that
// may block, one worker; its reading is paused meanwhile, so that stanzas stay
// in order (RFC 6120 section 10.1). Send, Close and the accessors may be called
// from any goroutine.
//
// # Files
//
// The name of a file begins with the group that it belongs to:
//
//	stream_  one client's stream: framing, features, STARTTLS, SASL, limits of failed
//	         logins, binding as a feature, and the way of a stanza to the router
//	table_   the sessions of all accounts: finding, binding, presence, leaving, revocation
//	exec_    who does the work, and how much of it: turns, workers, the queue for keys,
//	         the budget of a turn, the limit of what an account causes, panics
//
// The other files are what all know: Session and its flags, Manager, what extensions
// keep, stream errors, how a session ends, and when its input is read. The groups build on each other:
// the executor knows neither tables nor streams, and the tables nothing of
// streams. A test in internal/archtest enforces this.
package session
