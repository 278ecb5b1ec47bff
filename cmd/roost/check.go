package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"roost/capacity"
	"roost/jid"
	"roost/server"
)

// checkCmd checks whether a machine can serve a number of sessions.
type checkCmd struct {
	Sessions int  `default:"100000" placeholder:"N" help:"Concurrent sessions to check for (default: ${default})."`
	JSON     bool `name:"json" help:"Write one JSON document instead of a table; docs/tuning.md describes it."`

	serveFlags
}

// checkedFlags are the server flags that the help of roost check shows: those that
// influence its result. It accepts all others, too, and validates their values.
var checkedFlags = []string{
	"sessions", "json", "config", "domain", "c2s", "c2s-tls", "ws", "data", "store", "tls-cert", "tls-key", "acme", "acme-dir", "tls-lean", "handshakes", "allow-plaintext",
	"roster-cache", "memory-limit", "login-timeout", "help",
}

// hideUnchecked hides the other flags in the help of roost check, and those of roost serve
// in the help of roost config show.
func hideUnchecked(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		switch command.Name {
		case "check":
			for _, f := range command.Flags {
				f.Hidden = !slices.Contains(checkedFlags, f.Name)
			}
		case "config":
			for _, show := range command.Children {
				for _, f := range show.Flags {
					f.Hidden = f.Tag.Get("group") != "" && f.Name != "data" // a flag of roost serve
				}
			}
		}
	}
	return nil
}

// Help implements kong's HelpProvider.
func (c *checkCmd) Help() string {
	return "Run it with the flags, the environment and the config file of roost serve, as the same user and with the same resource limits (ulimit). It accepts every flag of " +
		"roost serve; those listed here affect the result. It changes nothing, and the server may be running. The exit status is 1 if a check fails; warnings leave it 0.\n\n" + unitsHelp
}

// Validate is called by kong after parsing.
func (c *checkCmd) Validate() error {
	if c.Sessions < 1 || c.Sessions > math.MaxInt32 {
		return fmt.Errorf("--sessions must be 1 to %d", math.MaxInt32)
	}
	return nil
}

// Run checks and reports.
func (c *checkCmd) Run() error {
	cfg, err := c.validConfig(nil)
	if err != nil {
		return err
	}
	plan := c.plan()
	host := capacity.ThisHost()
	checks := capacity.Machine(host, plan)
	site, err := c.site(cfg, plan)
	if err != nil {
		return err
	}
	report := newCheckReport(host, plan, append(checks, site...))
	if c.JSON {
		err = writeJSON(os.Stdout, report)
	} else {
		err = report.writeTable(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "")
	}
	if err != nil {
		return err
	}
	return report.err()
}

// plan returns the load that the flags describe.
func (c *checkCmd) plan() capacity.Plan {
	p := capacity.Plan{
		Sessions: c.Sessions, Plain: c.AllowPlaintext, StdTLS: !c.TLSLean, Handshakes: c.Handshakes, MemoryLimit: int64(max(0, c.MemoryLimit)), GCPercent: garbagePercent(),
		LoginTime: c.LoginTimeout, RosterCache: int64(c.RosterCache),
		Loopback: onLoopback(c.C2S) && onLoopback(c.C2STLS) && onLoopback(c.WS),
	}
	if p.MemoryLimit == 0 {
		p.MemoryLimit = memoryLimit()
	}
	return p
}

// memoryLimit returns the limit that the runtime took from GOMEMLIMIT, 0 for none.
func memoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit
	}
	return 0
}

// garbagePercent returns the GC percentage of roost serve in this environment.
func garbagePercent() int {
	if os.Getenv("GOGC") == "" {
		return gcPercent
	}
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(min(sample[0].Value.Uint64(), math.MaxInt32)) // "off" is a very large number
}

// onLoopback reports whether an address can only be reached from this machine. An empty
// address cannot be reached at all.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err != nil || loopbackHost(host)
}

// loopbackHost reports whether the host of an address or URL is this machine.
func loopbackHost(host string) bool {
	ip := net.ParseIP(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// integrityTime limits the integrity check of the database.
const integrityTime = time.Minute

// site checks the certificates and the store.
func (c *checkCmd) site(cfg server.Config, plan capacity.Plan) ([]capacity.Check, error) {
	var t capacity.TLSPlan
	for _, d := range cfg.Domains {
		t.Domains = append(t.Domains, jid.DNSName(d)) // the form used in certificates
	}
	for i := range c.TLSCert {
		cert, err := filepath.Abs(c.TLSCert[i])
		if err != nil {
			return nil, err
		}
		key, err := filepath.Abs(c.TLSKey[i])
		if err != nil {
			return nil, err
		}
		t.Files, t.Keys = append(t.Files, cert), append(t.Keys, key)
	}
	t.SelfSigned[0], t.SelfSigned[1] = server.SelfSignedFiles(c.Data)
	t.Obtained = obtained(&cfg)
	checks := capacity.Certificates(os.DirFS("/"), t)
	ctx, cancel := context.WithTimeout(context.Background(), integrityTime)
	defer cancel()
	state, err := c.storeState(ctx)
	if err != nil {
		return nil, err
	}
	return append(checks, capacity.Store(state, plan)...), nil
}

// obtained returns the files of the certificate of each domain and its key that the server
// obtains, nil if it obtains none.
func obtained(cfg *server.Config) map[string][2]string {
	with := cfg.WithDefaults()
	if !with.ACME.Enabled() {
		return nil
	}
	files := make(map[string][2]string)
	for _, d := range cfg.Domains {
		d = jid.DNSName(d)
		cert, key := with.ACME.Files(d)
		files[d] = [2]string{cert, key}
	}
	return files
}

// checkReport is the report in JSON, as described in docs/tuning.md.
type checkReport struct {
	Sessions    int              `json:"sessions"`
	TLS         bool             `json:"tls"`
	Status      capacity.Status  `json:"status"`
	MaxSessions *int64           `json:"max_sessions,omitempty"`
	LimitedBy   string           `json:"limited_by,omitempty"`
	Memory      capacity.Memory  `json:"memory"`
	Checks      []capacity.Check `json:"checks"`

	failed, warned int
	limitTitle     string
}

func newCheckReport(h capacity.Host, p capacity.Plan, checks []capacity.Check) *checkReport {
	r := &checkReport{Sessions: p.Sessions, TLS: !p.Plain, Memory: capacity.Predict(h, p), Checks: checks}
	r.Status, r.failed, r.warned = capacity.Overall(checks)
	if n, limit := capacity.MaxSessions(checks, 0); limit != nil {
		r.MaxSessions, r.LimitedBy, r.limitTitle = &n, limit.Name, limit.Title
	}
	return r
}

// err returns the error with which the program exits if a check failed.
func (r *checkReport) err() error {
	if r.Status != capacity.Fail {
		return nil
	}
	return fmt.Errorf("this machine cannot hold %s sessions: %d of %d checks failed, %d warned",
		humanize.Comma(int64(r.Sessions)), r.failed, len(r.Checks), r.warned)
}
