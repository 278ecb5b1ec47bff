package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"roost/internal/cmdtest"
)

var namedVariable = regexp.MustCompile(`\bROOST_[A-Z0-9_]+`)

// otherFlags are flags of other programs in the documents and the files for packages: apt-get, bash, COPY
// and HEALTHCHECK of a Dockerfile, curl, dnf, docker, dpkg, kubectl, pg_restore, sha256sum, sysctl,
// systemctl, systemd-run, useradd and valkey-cli. --no-tls-lean is a form of --tls-lean.
var otherFlags = []string{"build", "cert", "check", "chown", "dbname", "detach", "exit-on-error", "file", "from", "from-file", "from-literal", "home-dir", "install", "interval", "key", "no-create-home", "no-install-recommends", "no-owner", "no-reload", "no-tls-lean", "now", "pass", "pipe", "quiet", "shell", "single-transaction", "start-interval", "start-period", "strict", "strip-components", "system", "timeout", "unix-socket", "user", "user-group", "wait", "write-out"}

// testVariables are environment variables that only tests read.
var testVariables = []string{"ROOST_BENCH_SETTLE", "ROOST_CROWD", "ROOST_CUT_STEP", "ROOST_DIST", "ROOST_DIST_ROOT", "ROOST_ENTRIES", "ROOST_FAULTS", "ROOST_MODEL", "ROOST_MODEL_SEED"}

// TestDocumentedFlags: every flag and environment variable in the documents exists. Flags
// of roost-bench are tested there.
func TestDocumentedFlags(t *testing.T) {
	parser, err := newParser(new(grammar))
	if err != nil {
		t.Fatal(err)
	}
	flags := cmdtest.Flags(t, parser)
	named := 0
	for name, text := range cmdtest.Documents(t) {
		for _, v := range namedVariable.FindAllString(text, -1) {
			flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(v, "ROOST_"), "_", "-"))
			if !flags[flag] && !slices.Contains(testVariables, v) {
				t.Errorf("%s: no flag for %s", name, v)
			}
		}
		if name == cmdtest.BenchmarkingPage {
			continue
		}
		for _, flag := range cmdtest.NamedFlags(cmdtest.WithoutCommands(text, "roost-bench")) {
			named++
			if !flags[flag] && !slices.Contains(otherFlags, flag) {
				t.Errorf("%s: flag --%s does not exist", name, flag)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d flags were found: the test no longer finds them", named)
	}
}

// TestDocumentedCommands: every command in the documents exists.
func TestDocumentedCommands(t *testing.T) {
	cmdtest.DocumentedCommands(t, "roost", 20, func() (*kong.Kong, error) { return newParser(new(grammar)) }, func(args []string) error {
		if args[0] == "bench" {
			return errors.New("measurements are in roost-bench")
		}
		return nil
	})
}

// TestLicensesOfProgram: docs/licenses.md lists the modules in this program.
func TestLicensesOfProgram(t *testing.T) { cmdtest.Licenses(t, "roost") }
