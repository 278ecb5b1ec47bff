package main

import (
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cmdtest"
)

// TestHealth: the exit status says whether the server works, and whether it accepts clients.
func TestHealth(t *testing.T) {
	data := t.TempDir()
	if code, _, stderr := cmdtest.Result(t, nil, "health", "--data", data); code != 1 || !strings.Contains(stderr, "no server runs") {
		t.Errorf("without a server: %d, %s", code, stderr)
	}
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "off", "--data", data)
	f := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := cmdtest.Result(t, nil, append(args, "--data", data)...)
		if code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%q: %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
	f("store      ok\n", "health")
	f("serving    ok\n", "health", "--ready")
	f("loops      ok\n", "health", "--live")
	f(`"ok": true`, "health", "--json")
	if code, _, stderr := cmdtest.Result(t, nil, "drain", "--wait", "--data", data); code != 0 {
		t.Fatalf("drain: %d, %s", code, stderr)
	}
	f("store      ok\n", "health") // it works, and need not be restarted
	code, stdout, stderr := cmdtest.Result(t, nil, "health", "--ready", "--data", data)
	if code != 1 || !strings.Contains(stdout, "serving    the server is dra") || !strings.Contains(stderr, "serving") {
		t.Errorf("after a drain: %d, %q, %q", code, stdout, stderr)
	}
}

// TestUnhealthy: what has failed is named.
func TestUnhealthy(t *testing.T) {
	h := &api.Health{Checks: []api.Check{{Name: "loops", OK: true}, {Name: "store", Error: "no\x1b answer"}, {Name: "log"}}}
	if err := unhealthy(h); err == nil || !strings.HasSuffix(err.Error(), ": store, log") {
		t.Error(err)
	}
	var out strings.Builder
	writeHealth(&out, h)
	if want := "loops      ok\nstore      no? answer\nlog        \n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
	onlyLoops(h)
	if err := unhealthy(h); err != nil || len(h.Checks) != 1 {
		t.Errorf("the store alone: %v, %v", err, h.Checks)
	}
	h.Checks[0].OK = false
	if onlyLoops(h); unhealthy(h) == nil {
		t.Error("the loops do not run, and nothing is wrong")
	}
}
