package api

import "time"

// PathTrace is the path of the trace of a session. The JID may be bare if the account has
// one session.
const PathTrace = "/v1/sessions/{jid}/trace"

// TraceKind is what a line of a trace is about.
type TraceKind string

// The kinds of lines.
const (
	TraceBegin    TraceKind = "begin"    // the first line
	TraceReceived TraceKind = "received" // from the client
	TraceSent     TraceKind = "sent"     // to the client
	TraceEnd      TraceKind = "end"      // the last line
)

// TraceTimeUp is the reason for the end of a trace whose time is up.
const TraceTimeUp = "time-up"

// TraceLine is a line of the response to POST /v1/sessions/{jid}/trace. Received and sent
// are stanzas and other elements of the stream, and its end.
type TraceLine struct {
	Time   time.Time  `json:"time"`
	Kind   TraceKind  `json:"kind"`
	JID    string     `json:"jid,omitempty"`    // of the session; in the first line
	Until  *time.Time `json:"until,omitempty"`  // when the trace ends if the session does not; in the first line
	Bytes  int64      `json:"bytes,omitempty"`  // size of what was received or sent, before TLS
	XML    string     `json:"xml,omitempty"`    // what was received or sent. Instead of what is hidden, it has "…" for text and "***" for credentials; missing if it cannot be parsed
	Cut    bool       `json:"cut,omitempty"`    // it has more than 64 KiB: xml has only its start tag
	Lost   int64      `json:"lost,omitempty"`   // how many were received or sent before this and are missing, because the reader was too slow
	Reason string     `json:"reason,omitempty"` // of the end: "time-up", or why the session has ended: "closed" by the client, "lost" connection, "slow-reader", "moved" to another node, or the condition of the stream error that was sent
}
