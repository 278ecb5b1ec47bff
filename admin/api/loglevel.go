package api

import "time"

// PathLogLevel is the path of the level of the log.
const PathLogLevel = "/v1/log-level"

// LogLevel is the response to GET and PUT /v1/log-level.
type LogLevel struct {
	Level      string     `json:"level"`           // "debug", "info", "warn" or "error": less important lines are not written
	Configured string     `json:"configured"`      // the level that applies without a change
	Until      *time.Time `json:"until,omitempty"` // when the configured level applies again; missing if it does
}

// LogLevelChange is the body of PUT /v1/log-level.
type LogLevelChange struct {
	Level   string  `json:"level"`             // "debug", "info", "warn" or "error"
	Seconds float64 `json:"seconds,omitempty"` // for how long; default 600, at most 86400
}
