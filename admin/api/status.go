package api

import "time"

// Health is the response to GET /healthz (200 if all checks have passed, else 503) and to
// GET /readyz (200 if the server accepts clients, else 503).
type Health struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// Check is one part of Health.
type Check struct {
	Name    string  `json:"name"` // "loops", "store", "log" or "serving"
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`         // how long the check took
	Error   string  `json:"error,omitempty"` // why it has failed
}

// State is what the server does about clients.
type State string

// The states of a server.
const (
	Serving  State = "serving"  // it accepts clients
	Draining State = "draining" // it accepts no new ones, and its clients leave one after another
	Stopping State = "stopping" // it closes all streams and ends
)

// Status is the response to GET /v1/status.
type Status struct {
	Version       string    `json:"version"`
	Commit        string    `json:"commit,omitempty"`
	GoVersion     string    `json:"go_version"`
	PID           int       `json:"pid"`
	State         State     `json:"state"`
	StartedAt     time.Time `json:"started_at"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	Domains       []string  `json:"domains"`

	Sessions     Sessions      `json:"sessions"`
	Connections  Connections   `json:"connections"`
	Logins       Logins        `json:"logins"`
	Memory       Memory        `json:"memory"`
	Listeners    []Listener    `json:"listeners"`
	Certificates []Certificate `json:"certificates"`
	Renewals     []Renewal     `json:"renewals,omitempty"`    // of certificates that the server obtains by ACME, by domain
	LastBackup   *Backup       `json:"last_backup,omitempty"` // by roost backup with the data directory of this server
	Cluster      *Cluster      `json:"cluster,omitempty"`     // of a server that is a node of a cluster
}

// Backup is a backup that was made.
type Backup struct {
	Time       time.Time `json:"time"`        // of its data
	AgeSeconds float64   `json:"age_seconds"` // since then
	File       string    `json:"file"`        // where it was written
	Bytes      int64     `json:"bytes"`
}

// Cluster is a node's part of its cluster. Totals are since the start.
type Cluster struct {
	Node            string   `json:"node"`              // name of this node
	Number          uint64   `json:"number"`            // of its present lease; 0: it has not joined yet
	Others          []string `json:"others"`            // names of the other nodes that are alive
	OtherDomains    []string `json:"other_domains"`     // names of those that do not serve the same domains as this one
	Reachable       bool     `json:"reachable"`         // the Redis server is, and the node has a lease
	LeaseAgeSeconds float64  `json:"lease_age_seconds"` // since the lease was renewed; with Reachable false, since the last time
	Entries         int64    `json:"entries"`           // of this node in the directory, about

	SentTotal      uint64 `json:"sent_total"`      // items for other nodes
	ReceivedTotal  uint64 `json:"received_total"`  // items of other nodes
	ReturnedTotal  uint64 `json:"returned_total"`  // items that their node did not get; messages among them were stored or bounced
	RefusedTotal   uint64 `json:"refused_total"`   // items for which there was no space in a queue
	WaitingBytes   int64  `json:"waiting_bytes"`   // of items that other nodes have not handled
	UnhandledBytes int64  `json:"unhandled_bytes"` // of items that this node has received and not handled
	HitsTotal      uint64 `json:"hits_total"`      // lookups that were answered from memory
	LookupsTotal   uint64 `json:"lookups_total"`   // accounts that were read from the directory
	RejoinedTotal  uint64 `json:"rejoined_total"`  // times that the directory has lost this node
}

// Sessions counts sessions by state. Unbound and Connected ones are all that there are.
type Sessions struct {
	Unbound   int64 `json:"unbound"`   // connected to the server, and without a resource yet
	Connected int64 `json:"connected"` // with a full JID: clients that are online
	Available int64 `json:"available"` // of the connected ones, those with presence
	Accounts  int64 `json:"accounts"`  // accounts that have a connected session

	Restored Restored `json:"restored"`
}

// Restored is what has become of the sessions that the last planned stop has saved, and that
// this server has restored.
type Restored struct {
	Waiting int64 `json:"waiting"` // they are among the connected ones, and wait for their clients to resume them
	Resumed int64 `json:"resumed"` // their clients have resumed them
	Ended   int64 `json:"ended"`   // they have ended before: their time was over, or their clients have logged in again
}

// Total returns the number of sessions that were restored.
func (r *Restored) Total() int64 { return r.Waiting + r.Resumed + r.Ended }

// Connections are TCP connections of clients.
type Connections struct {
	Open          int64 `json:"open"`
	WebSocket     int64 `json:"websocket"`      // of the open ones, those over WebSocket
	Handshakes    int64 `json:"handshakes"`     // TLS handshakes in progress or waiting
	AcceptedTotal int64 `json:"accepted_total"` // since the start
	RefusedTotal  int64 `json:"refused_total"`  // for a limit of their network, since the start
}

// Logins are sessions that were bound.
type Logins struct {
	Total     int64   `json:"total"`      // since the start
	PerSecond float64 `json:"per_second"` // in the last minute
}

// Memory is what the process uses, and what it should use.
type Memory struct {
	ResidentBytes  int64 `json:"resident_bytes"`  // of the process
	HeapLiveBytes  int64 `json:"heap_live_bytes"` // reachable at the last garbage collection
	PredictedBytes int64 `json:"predicted_bytes"` // what roost check expects for this number of idle sessions
	KernelBytes    int64 `json:"kernel_bytes"`    // what roost check expects the kernel to use for them
	LimitBytes     int64 `json:"limit_bytes"`     // what the garbage collector keeps to; 0: no limit
}

// Listener is an address that the server listens on.
type Listener struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// Certificate is one of the server's certificates.
type Certificate struct {
	Names         []string  `json:"names"`
	File          string    `json:"file"`
	SelfSigned    bool      `json:"self_signed"` // made by the server
	Obtained      bool      `json:"obtained"`    // from an authority, by ACME
	NotAfter      time.Time `json:"not_after"`
	ExpiresInDays float64   `json:"expires_in_days"` // below 0: it has expired
}

// Renewal is about the certificate that the server obtains for a domain.
type Renewal struct {
	Domain   string     `json:"domain"`
	NotAfter *time.Time `json:"not_after,omitempty"` // when the obtained one expires; none: there is none yet
	NextTry  time.Time  `json:"next_try"`            // when the next one is obtained
	Failures int64      `json:"failures"`            // attempts that have failed since one has succeeded
	Reason   string     `json:"reason,omitempty"`    // why the last attempt has failed
	FailedAt *time.Time `json:"failed_at,omitempty"` // when it has failed
}
