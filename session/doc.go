// Package session implements a client's stream: opening, TLS, authentication and resource
// binding ([RFC 6120] sections 4 to 7). It also has the sharded tables that find a bound
// session by its address.
//
// # Ownership
//
// One goroutine at a time handles a session's input: that of the loop which owns its
// connection or, while the session does something that may block, a worker. Reading is
// paused meanwhile, so that stanzas stay in order (RFC 6120 section 10.1). Send, Close and
// the accessors may be called from any goroutine.
//
// # Files
//
// The prefix of a file's name is its group:
//
//	stream_  one client's stream: framing, features, STARTTLS, SASL, limits of failed
//	         logins, the bind feature, and passing stanzas to the router
//	table_   the sessions of all accounts: finding, binding, presence, removal, revocation
//	ack_     the queue of stanzas that a client has not acknowledged
//	exec_    execution: turns, workers, the queue for key derivation, gates for what is
//	         written one after another, the budget of a turn, the limit of what an
//	         account causes, panics
//
// The other files are shared by all groups: Session and its flags, Manager and its
// configuration, the state of extensions, stream errors, stream management, the memory of
// incomplete stanzas, how a session ends, how it outlives a restart, and when its input is read. The groups build on each other: ack_ uses no other,
// exec_ uses neither table_ nor stream_, and table_ does not use stream_. A test in internal/archtest enforces this.
//
// [RFC 6120]: https://www.rfc-editor.org/rfc/rfc6120
package session
