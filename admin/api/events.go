package api

import "time"

// PathEvents is the path of the events.
const PathEvents = "/v1/events"

// EventKind is a kind of event.
type EventKind string

// The kinds of events.
const (
	EventLogin       EventKind = "login"        // a client has logged in and has a resource
	EventLoginFailed EventKind = "login-failed" // an attempt to authenticate has failed
	EventEnd         EventKind = "end"          // a session of an account has ended
	EventDetached    EventKind = "detached"     // a session has lost its connection, and waits for its client to resume it (XEP-0198)
	EventResumed     EventKind = "resumed"      // its client has
	EventAccount     EventKind = "account"      // an account was created, changed or deleted, by whomever
	EventAdmin       EventKind = "admin"        // an administrator has changed something, or has tried to
	EventLog         EventKind = "log"          // a line of the log, without those that other kinds have
	EventLost        EventKind = "lost"         // events were left out because the reader is too slow
)

// Event is a line of GET /v1/events.
type Event struct {
	Time      time.Time `json:"time"`
	Kind      EventKind `json:"kind"`
	JID       string    `json:"jid,omitempty"`       // full JID of the session, or bare JID of the account; of a failed login only if the account exists: users sometimes type a password as the username
	Peer      string    `json:"peer,omitempty"`      // address and port of the client, or of an administrator's request by TCP
	Mechanism string    `json:"mechanism,omitempty"` // SASL mechanism of a failed login; missing if it is not offered
	Reason    string    `json:"reason,omitempty"`    // why the session has ended or the login has failed, as the metrics have it
	Cause     string    `json:"cause,omitempty"`     // error of the connection of a session that was lost
	Actor     string    `json:"actor,omitempty"`     // administrator, as in the audit log
	Action    string    `json:"action,omitempty"`    // of an administrator as in the audit log; of an account "created", "deleted", "password-changed", "disabled" or "enabled"
	Object    string    `json:"object,omitempty"`    // what the administrator's action is about
	Result    string    `json:"result,omitempty"`    // "ok", or the code of the error
	Level     string    `json:"level,omitempty"`     // of the line of the log: "info", "warn" or "error"
	Text      string    `json:"text,omitempty"`      // of the line of the log
	Fields    string    `json:"fields,omitempty"`    // of the line of the log, as name=value
	Lost      int       `json:"lost,omitempty"`      // events that were left out
}
