package api

// Paths of the configuration.
const (
	PathConfig = "/v1/config"
	PathReload = "/v1/reload"
)

// Config is the response to GET /v1/config.
type Config struct {
	Settings []Setting `json:"settings"`
}

// Setting is one setting in use. Values are written as on the command line; a password in a
// URL is left out.
type Setting struct {
	Name   string `json:"name"` // that of the flag, without dashes
	Value  string `json:"value"`
	Source string `json:"source"`         // "default", "command line", a variable of the environment, or FILE:LINE
	Hot    bool   `json:"hot"`            // it can change without a restart
	Note   string `json:"note,omitempty"` // what a change applies to, or why it needs a restart
}

// Reload is the response to POST /v1/reload.
type Reload struct {
	Changed     []Change `json:"changed"`      // in use from now on
	NeedRestart []Change `json:"need_restart"` // changed, but in use only after a restart
}

// Change is a setting that has changed.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old"` // in use before; of one that needs a restart, still
	New  string `json:"new"`
	Note string `json:"note,omitempty"` // what the change applies to, or why it needs a restart
}
