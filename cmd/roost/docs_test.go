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

// packageFlags are flags of other programs in the packaging files and in docs/install.md: bash,
// COPY and HEALTHCHECK of a Dockerfile, docker, dnf, dpkg (--install), kubectl, systemctl and useradd.
var packageFlags = []string{"chown", "install", "cert", "detach", "file", "from", "from-file", "from-literal", "interval", "key", "no-create-home", "no-reload", "now", "quiet", "start-interval", "start-period", "strict", "strip-components", "timeout", "user-group"}

// otherFlags are flags of other programs in the documents: apt-get, curl, docker, pg_restore,
// sha256sum, sysctl, systemd-run, useradd, systemctl and valkey-cli. --no-tls-lean is a form of --tls-lean.
var otherFlags = []string{"unix-socket", "write-out", "no-install-recommends", "system", "pipe", "wait", "home-dir", "shell", "now", "build", "user", "pass", "check", "no-owner", "no-tls-lean", "exit-on-error", "single-transaction", "dbname"}

// testVariables are environment variables that only tests read.
var testVariables = []string{"ROOST_CROWD", "ROOST_CUT_STEP", "ROOST_DIST", "ROOST_DIST_ROOT", "ROOST_ENTRIES", "ROOST_FAULTS", "ROOST_MODEL", "ROOST_MODEL_SEED"}

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
		for _, flag := range cmdtest.NamedFlags(cmdtest.WithoutCommands(text, "(?:./)?roost-bench")) {
			named++
			if !flags[flag] && !slices.Contains(otherFlags, flag) && !slices.Contains(packageFlags, flag) {
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
