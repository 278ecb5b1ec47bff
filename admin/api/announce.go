package api

import "time"

// PathAnnounce is the path of the announcement to clients, of which there is one at a time.
const PathAnnounce = "/v1/announce"

// DefaultAnnounceRate is the number of clients that get an announcement in a second unless
// a request says otherwise. A message to an idle client over TLS was measured to take 43 µs
// of CPU, so this is a tenth of a core (docs/admin.md).
const DefaultAnnounceRate = 2000

// JobState is how far a long action is.
type JobState string

// The states of a long action.
const (
	JobRunning JobState = "running"
	JobDone    JobState = "done"
	JobAborted JobState = "aborted" // by an administrator, or because the server stops
)

// AnnounceRequest is the body of POST /v1/announce.
type AnnounceRequest struct {
	Text    string  `json:"text"`              // at most 4,000 characters
	Subject string  `json:"subject,omitempty"` // at most 200 characters
	Domain  string  `json:"domain,omitempty"`  // for the clients of this domain; default: of all
	Rate    float64 `json:"rate,omitempty"`    // clients a second; default 2,000
}

// Announce is the announcement that is being sent, or that was sent last.
type Announce struct {
	State     JobState   `json:"state"`
	Text      string     `json:"text"`
	Subject   string     `json:"subject,omitempty"`
	Domain    string     `json:"domain,omitempty"`
	Rate      float64    `json:"rate"`  // clients a second
	Actor     string     `json:"actor"` // who has started it
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Clients   int64      `json:"clients"` // with presence, when it began; some leave meanwhile, others come
	Sent      int64      `json:"sent"`
	Skipped   int64      `json:"skipped"` // clients that have too much to read already
}
