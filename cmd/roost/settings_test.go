package main

import (
	"crypto/tls"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"roost/server"
)

// withoutFlag are the fields of server.Config that no flag sets, with the reasons.
var withoutFlag = map[string]string{
	"GCPercent": "roost serve has its own default, and GOGC sets another",
	"Logger":    "--log-level and --log-format make it",

	"Sockets.C2S":    "passed by systemd",
	"Sockets.C2STLS": "passed by systemd",
	"Sockets.WS":     "passed by systemd",

	"Poller.ReadBuffer":    "nothing is gained by another size; tests use a small one",
	"Poller.LargeWrite":    "follows from --outbox",
	"Poller.RecordTimeout": "no client needs another time",
	"Poller.ReserveFiles":  "filled in by the server",
	"Poller.Accept":        "filled in by the server",
	"Poller.WebSocket":     "filled in by the server",
	"Poller.Blocked":       "filled in by the server",
	"Poller.Proxies":       "filled in by the server",
	"Poller.ProxyTimeout":  "follows from --login-timeout",
	"Poller.AfterBatch":    "filled in by the server",
	"Poller.Logger":        "filled in by the server",

	"Session.Domains":              "filled in by the server",
	"Session.Accounts":             "filled in by the server",
	"Session.Router":               "filled in by the server",
	"Session.Blocked":              "filled in by the server",
	"Session.Secret":               "filled in by the server",
	"Session.Tokens":               "filled in by the server",
	"Session.TLS":                  "filled in by the server",
	"Session.Logger":               "filled in by the server",
	"Session.Loops":                "follows from --pollers",
	"Session.Limits.MaxRestricted": "no client needs another limit",
	"Session.Limits.MaxDepth":      "no client needs another limit",
	"Session.Limits.MaxAttrs":      "no client needs another limit",
	"Session.Limits.MaxNamespaces": "no client needs another limit",
	"Session.Limits.MaxName":       "no client needs another limit",
	"Session.Writers":              "bounded by memory, not by number",
	"Session.WriteMemory":          "nothing is known that needs another size",
	"Session.KeyWorkers":           "follows from the CPUs",
	"Session.FailureDelay":         "tests turn it off; a server has no reason to",
	"Session.Shards":               "nothing is gained by another number",
	"Session.PartialMemory":        "no need for another limit so far",
	"Session.Sent":                 "for tests",

	"Cluster.Logger":      "filled in by the server",
	"Cluster.Shared":      "filled in by the server",
	"Cluster.Database":    "filled in by the server",
	"Cluster.Domains":     "filled in by the server",
	"Cluster.Lease":       "tests use a shorter one; it must be the same on all nodes",
	"Cluster.Wait":        "tests use another; no need for that otherwise",
	"Cluster.CacheBytes":  "no need for another limit so far",
	"Cluster.QueueBytes":  "no need for another limit so far",
	"Cluster.TotalBytes":  "no need for another limit so far",
	"Cluster.WriteBytes":  "no need for another limit so far",
	"Cluster.HandleBytes": "no need for another limit so far",
	"Cluster.Lanes":       "no need for another number so far",

	"Router.Store":       "filled in by the server",
	"Router.Extensions":  "for programs that embed the server",
	"Router.Logger":      "filled in by the server",
	"Router.MaxRoster":   "no need for another limit so far",
	"Router.RosterBytes": "no need for another limit so far",
	"Router.MaxRequests": "no need for another limit so far",
	"Router.MaxDirected": "no need for another limit so far",
	"Router.MaxBlocked":  "no need for another limit so far",
	"Router.PageBytes":   "follows from --outbox",

	"Admin.SocketDir":  "RUNTIME_DIRECTORY of systemd sets it",
	"Admin.LogLevel":   "--log-level sets it at the start",
	"Admin.LogWritten": "filled in by roost serve",
	"Admin.RecentLog":  "the last lines of the same log",
	"Admin.FollowLog":  "the lines of the same log",
	"Admin.LogDropped": "filled in by roost serve",
	"Admin.Reload":     "filled in by roost serve",
	"Admin.Settings":   "filled in by roost serve",

	"Session.Iterations": "passwords that exist keep theirs; tests use fewer",

	"XEP.Iterations":   "passwords that exist keep theirs; tests use fewer",
	"XEP.LandingPage":  "filled in by the server",
	"XEP.Version":      "that of the build",
	"XEP.PrivateSize":  "no need for another limit so far",
	"XEP.PrivateCount": "no need for another limit so far",
	"XEP.PrivateBytes": "no need for another limit so far",
	"XEP.VCardSize":    "no need for another limit so far",
}

// TestEveryFieldHasFlag: every field of the server's configuration, including those of
// its packages, is set by exactly one flag or is listed above.
func TestEveryFieldHasFlag(t *testing.T) {
	flags := make(map[string]string)
	for _, s := range new(serveFlags).settings() {
		path, _, isMap := strings.Cut(s.tag.Get("sets"), "[")
		if other := flags[path]; path != "" && other != "" && !isMap {
			t.Errorf("--%s and --%s both set %s", other, s.flag, path)
		}
		flags[path] = s.flag
	}
	paths := fieldPaths("", reflect.TypeFor[server.Config]())
	for _, path := range paths {
		flag, reason := flags[path], withoutFlag[path]
		if (flag == "") == (reason == "") {
			t.Errorf("server.Config's %s: flag %q, reason for having none %q; want exactly one", path, flag, reason)
		}
	}
	for path := range withoutFlag {
		if !slices.Contains(paths, path) {
			t.Errorf("field %s, which is listed as having no flag, does not exist", path)
		}
	}
}

// fieldPaths returns the paths of all fields that are not structs.
func fieldPaths(prefix string, of reflect.Type) (paths []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Type.Kind() == reflect.Struct {
			paths = append(paths, fieldPaths(prefix+f.Name+".", f.Type)...)
		} else {
			paths = append(paths, prefix+f.Name)
		}
	}
	return paths
}

// parsed returns the flags of roost serve after parsing by kong.
func parsed(t *testing.T, args ...string) (*serveFlags, map[string]*kong.Flag) {
	t.Helper()
	var g grammar
	parser, err := newParser(&g)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(append([]string{"serve"}, args...))
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	flags := make(map[string]*kong.Flag)
	for _, f := range flagsOf(ctx) {
		flags[f.Name] = f
	}
	return &g.Serve.serveFlags, flags
}

// offByDefault are the numbers that are off if they are zero, and below zero.
var offByDefault = []string{"Poller.KeepAlive", "Router.OfflineDays", "Router.StrangerMessages", "Router.SubscriptionRequests"}

// TestDefaultsAreZero: without flags, the configuration equals that of an empty
// server.Config. Required fields have no default there; the program sets them.
func TestDefaultsAreZero(t *testing.T) {
	c, _ := parsed(t)
	got := c.serverConfig(nil).WithDefaults()
	want := server.Config{C2S: ":5222", C2STLS: ":5223", DataDir: defaultData()}.WithDefaults()
	if got.MinTLS != tls.VersionTLS12 || got.Session.Workers != 32 {
		t.Errorf("no defaults: %+v", got)
	}
	for _, path := range fieldPaths("", reflect.TypeFor[server.Config]()) {
		g, w := fieldAt(reflect.ValueOf(got), path), fieldAt(reflect.ValueOf(want), path)
		if slices.Contains(offByDefault, path) && g.Int() < 0 && w.IsZero() {
			continue
		}
		if path != "Poller.AfterBatch" && !reflect.DeepEqual(g.Interface(), w.Interface()) { // functions cannot be compared
			t.Errorf("%s is %v, want %v", path, g, w)
		}
	}
}

// TestSettings: kong and the settings derive the same flag names, each flag changes its
// field, and the help shows each default, with a unit if there is one.
func TestSettings(t *testing.T) {
	c, flags := parsed(t)
	before := reflect.ValueOf(c.serverConfig(nil))
	for _, s := range c.settings() {
		f := flags[s.flag]
		if f == nil {
			t.Errorf("kong has no flag --%s", s.flag)
			continue
		}
		if path, _, isMap := strings.Cut(s.tag.Get("sets"), "["); path != "" && !isMap {
			changed, _ := parsed(t, "--"+s.flag+"="+another[s.flag])
			was, is := fieldAt(before, path).Interface(), fieldAt(reflect.ValueOf(changed.serverConfig(nil)), path).Interface()
			if reflect.DeepEqual(was, is) {
				t.Errorf("--%s=%s: %s is %v, unchanged", s.flag, another[s.flag], path, is)
			}
		}
		if f.HasDefault && !strings.Contains(f.Help, "default: ") {
			t.Errorf("--%s: the help contains no default: %s", s.flag, f.Help)
		}
		want := map[reflect.Type]string{reflect.TypeFor[byteSize](): "BYTES", reflect.TypeFor[time.Duration](): "TIME"}[s.value.Type()]
		if want != "" && f.PlaceHolder != want {
			t.Errorf("--%s: the help shows %s, want %s", s.flag, f.PlaceHolder, want)
		}
		if _, canBeOff := s.tag.Lookup("off"); canBeOff != strings.Contains(f.Help, "off: ") {
			t.Errorf("--%s: can be off: %v; help: %s", s.flag, canBeOff, f.Help)
		}
	}
}

// TestOff: each flag that can be turned off accepts the word and the number that was used
// before there was a word, and sets its field accordingly.
func TestOff(t *testing.T) {
	tried := 0
	for _, s := range new(serveFlags).settings() {
		tag, ok := s.tag.Lookup("off")
		if !ok {
			continue
		}
		tried++
		values := []string{"off"}
		switch {
		case s.value.Kind() == reflect.String:
			values = append(values, "")
		case tag == "0":
			values = append(values, "0")
		case s.value.Type() == reflect.TypeFor[time.Duration]():
			values = append(values, "-1s")
		default:
			values = append(values, "-1")
		}
		for _, v := range values {
			if problem := serveWith(t, s.flag, v); problem != "" {
				t.Errorf("--%s=%s: %s", s.flag, v, problem)
			}
			path := s.tag.Get("sets")
			if path == "" {
				continue // set by the program itself
			}
			c, _ := parsed(t, "--"+s.flag+"="+v)
			field := fieldAt(reflect.ValueOf(c.serverConfig(nil)), path)
			if field.CanInt() && field.Int() >= 0 || field.Kind() == reflect.String && field.String() != "" {
				t.Errorf("--%s=%s: %s is %v", s.flag, v, path, field)
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d flags can be off", tried)
	}
}
