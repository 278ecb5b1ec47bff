package api

import "time"

// Paths of sessions. A full JID in a path is escaped: its slash is %2F.
const (
	PathSessions = "/v1/sessions"
	PathSession  = "/v1/sessions/{jid}"
)

// TLSKind is what protects a connection.
type TLSKind string

// The kinds of protection.
const (
	TLSNone TLSKind = "none"
	TLS12   TLSKind = "tls12" // TLS 1.2
	TLSStd  TLSKind = "std"   // TLS 1.3 by crypto/tls
	TLSLean TLSKind = "lean"  // TLS 1.3 by the lean record layer
)

// Transport is what carries the stream of a session.
type Transport string

// The transports.
const (
	TransportNone      Transport = "none" // the session has lost its connection, and waits for its client to resume it
	TransportTCP       Transport = "tcp"
	TransportWebSocket Transport = "websocket"
)

// Session is one connected session, in the list of GET /v1/sessions.
type Session struct {
	JID         string    `json:"jid"`     // full
	Address     string    `json:"address"` // of the client, with the port; empty if the connection has just ended
	Transport   Transport `json:"transport"`
	TLS         TLSKind   `json:"tls"`
	LastInput   time.Time `json:"last_input"` // when the client was last heard of, to the second; without a connection, when that was lost, to the minute
	IdleSeconds float64   `json:"idle_seconds"`
	Available   bool      `json:"available"` // it has presence
	Priority    int       `json:"priority"`
	QueuedBytes int64     `json:"queued_bytes"` // in its outbox: what the client has not read
}

// SessionPage is the response to GET /v1/sessions.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	Matching int64     `json:"matching"`         // sessions that match the filters
	Cursor   string    `json:"cursor,omitempty"` // for the next page; missing on the last one
}

// SessionDetail is the response to GET /v1/sessions/{jid}.
type SessionDetail struct {
	Session
	Interested       bool     `json:"interested"`        // it has requested the roster
	PresenceBytes    int64    `json:"presence_bytes"`    // size of its presence, which is shared with sessions that sent the same
	DirectedPresence int64    `json:"directed_presence"` // addresses to which it has sent directed presence
	Conditions       []string `json:"conditions"`        // "busy", "backlog", "throttled", "slow", "closing", "detached", "inactive"; often none
}

// SessionEnd is the response to DELETE /v1/sessions/{jid}. The session ends soon after it.
type SessionEnd struct {
	JID       string `json:"jid"`
	Condition string `json:"condition"` // of the stream error that the client gets
	Text      string `json:"text"`
}
