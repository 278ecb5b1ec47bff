package api

import "time"

// PathDrain is the path of the drain, of which there is one at a time.
const PathDrain = "/v1/drain"

// DefaultDrainRate is the number of clients that leave in a second, unless a drain has a
// time of its own. A login with a full TLS handshake takes 424 µs of CPU (README.md), so a
// server of this kind that receives them needs less than half a core.
const DefaultDrainRate = 1000

// DrainState is how far a drain is.
type DrainState string

// The states of a drain.
const (
	DrainScheduled DrainState = "scheduled" // it has not begun: the server accepts clients
	DrainRunning   DrainState = "draining"  // clients leave
	DrainDone      DrainState = "drained"   // all have left; the server accepts none
	DrainAborted   DrainState = "aborted"   // the server accepts clients again
)

// DrainRequest is the body of POST /v1/drain.
type DrainRequest struct {
	OverSeconds float64    `json:"over_seconds,omitempty"` // how long clients have, at most a week; default: 1,000 clients leave in a second
	To          string     `json:"to,omitempty"`           // where clients are sent: a host or an address, with or without a port
	Text        string     `json:"text,omitempty"`         // what clients are told, at most 200 characters
	Begin       *time.Time `json:"begin,omitempty"`        // when clients begin to leave, at most 30 days from now; default: at once
	Exit        bool       `json:"exit,omitempty"`         // the server stops when all have left
	End         *time.Time `json:"end,omitempty"`          // when the service is expected to be back, for the outage document
}

// Drain is the drain that is scheduled or runs, or the last one.
type Drain struct {
	State       DrainState `json:"state"`
	OverSeconds float64    `json:"over_seconds"` // 0 until it begins, if no time was given
	To          string     `json:"to,omitempty"`
	Text        string     `json:"text,omitempty"`
	Exit        bool       `json:"exit"`
	Actor       string     `json:"actor"`         // who has started it
	Begin       time.Time  `json:"begin"`         // when clients begin to leave
	End         *time.Time `json:"end,omitempty"` // when the service is expected to be back
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Clients     int64      `json:"clients"`   // connected when it began, logged in or not
	Ended       int64      `json:"ended"`     // sessions that it has ended
	Remaining   int64      `json:"remaining"` // clients connected now
}

// PathOutage is the path of the outage document.
const PathOutage = "/v1/outage"

// Outage is the document about a planned outage, in the format of XEP-0455 section 2.2.
// Without an outage it is an empty JSON object.
type Outage struct {
	Planned     bool              `json:"planned,omitempty"`
	Beginning   *time.Time        `json:"beginning,omitempty"`
	ExpectedEnd *time.Time        `json:"expected_end,omitempty"`
	Message     map[string]string `json:"message,omitempty"` // has the key "default"
}
