package api

import "time"

// PathStats is the path of the figures.
const PathStats = "/v1/stats"

// Stats is the response to GET /v1/stats. What is counted is counted since the start of
// the server, so that rates and quantiles are made of the differences of two responses.
type Stats struct {
	Time          time.Time `json:"time"`
	Version       string    `json:"version"`
	State         State     `json:"state"`
	StartedAt     time.Time `json:"started_at"` // what is counted begins at 0 then
	UptimeSeconds float64   `json:"uptime_seconds"`

	Sessions    Sessions         `json:"sessions"`
	Logins      int64            `json:"logins"`       // sessions that were bound
	LoginTime   Histogram        `json:"login_time"`   // from the accepted connection to the bound resource
	LoginErrors map[string]int64 `json:"login_errors"` // attempts to authenticate that have failed, by result
	Ended       map[string]int64 `json:"ended"`        // sessions that have ended, by reason

	Messages        int64 `json:"messages"`        // all, whatever became of them
	MessagesStored  int64 `json:"messages_stored"` // of these, those for clients that were offline
	StanzasReceived int64 `json:"stanzas_received"`
	StanzasSent     int64 `json:"stanzas_sent"`
	BytesReceived   int64 `json:"bytes_received"` // with TLS
	BytesSent       int64 `json:"bytes_sent"`

	CPUSeconds float64 `json:"cpu_seconds"` // of the process, of the kernel for it included
	CPUs       int     `json:"cpus"`        // that it may use at once
	Memory     Memory  `json:"memory"`

	LoopTurns     Histogram    `json:"loop_turns"`     // event loops: a batch of events
	StoreReads    Histogram    `json:"store_reads"`    // operations of the store, waiting included
	StoreWrites   Histogram    `json:"store_writes"`   // until they are committed
	WritesWaiting int64        `json:"writes_waiting"` // writes that are not committed yet
	Workers       []WorkerPool `json:"workers"`

	Refused     map[string]int64 `json:"refused"`      // connections that were refused, by reason
	Evicted     int64            `json:"evicted"`      // connections that were closed before the login to free memory
	Delayed     int64            `json:"delayed"`      // failed logins whose response was delayed
	Throttled   int64            `json:"throttled"`    // pauses of sessions whose accounts caused too many deliveries
	Unread      int64            `json:"unread"`       // bytes that clients have not read yet
	UnauthBytes int64            `json:"unauth_bytes"` // memory held for clients that have not logged in

	Remaining map[string]int64 `json:"remaining"` // further sessions that the machine can hold, by check of roost check
}

// Histogram has numbers of durations by length.
type Histogram struct {
	Bounds []float64 `json:"bounds"` // upper limits in seconds, inclusive, in increasing order
	Counts []int64   `json:"counts"` // durations up to each limit and above the one before; the last has those above all limits
	Sum    float64   `json:"sum"`    // of all durations, in seconds
}

// WorkerPool has the workers for one kind of work.
type WorkerPool struct {
	Work    string `json:"work"`    // "read", "write" (of the store) or "derive" (keys)
	Busy    int    `json:"busy"`    // workers that have a job
	Limit   int    `json:"limit"`   // most workers that there may be
	Waiting int    `json:"waiting"` // jobs that wait for a worker
}
