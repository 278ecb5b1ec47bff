package server

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
)

// TestOutage: the document of XEP-0455 announces a drain from when it is scheduled until it
// is aborted, or until the server starts again.
func TestOutage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "outage.json")
	if err := os.WriteFile(file, []byte(`{"planned": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(c *Config) { c.OutageFile = file })
	c := adminOf(t, s)
	want := func(want string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s %v, want %s", got, err, want)
		}
		var served, written api.Outage
		if err := c.Get(t.Context(), api.PathOutage, nil, &served); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &written); err != nil {
			t.Fatal(err)
		}
		if a, b := served, written; a.Planned != b.Planned || a.Message["default"] != b.Message["default"] || (a.Beginning == nil) != (b.Beginning == nil) {
			t.Errorf("%+v is served, and %+v is written", a, b)
		}
	}
	want("{}")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v %v, want a file that a web server can read", info, err)
	}
	begin := time.Date(2100, 1, 12, 2, 1, 1, 0, time.FixedZone("", 3600))
	if _, err := drain(t.Context(), c, api.DrainRequest{Begin: &begin}); err == nil {
		t.Error("in the far future")
	}
	want("{}")
	begin = time.Now().Add(time.Hour).Truncate(time.Second)
	end := begin.Add(2 * time.Hour).In(time.FixedZone("", 3600))
	if _, err := drain(t.Context(), c, api.DrainRequest{Begin: &begin, End: &end, Text: "Mise à jour"}); err != nil {
		t.Fatal(err)
	}
	format := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	want(`{
  "planned": true,
  "beginning": "` + format(begin) + `",
  "expected_end": "` + format(end) + `",
  "message": {
    "default": "Mise à jour"
  }
}`)
	if _, err := abortDrain(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want("{}")
	if d, err := drain(t.Context(), c, api.DrainRequest{}); err != nil {
		t.Error(err)
	} else {
		want(`{
  "planned": true,
  "beginning": "` + d.Begin.Format(time.RFC3339Nano) + `",
  "message": {
    "default": "This server is being taken out of service."
  }
}`)
	}
	if _, err := abortDrain(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := drain(t.Context(), c, api.DrainRequest{To: "xmpp2.example.org"}); err != nil {
		t.Error(err)
	}
	want("{}")
	if _, err := abortDrain(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	begin = time.Now().Add(time.Hour).Truncate(time.Second)
	if _, err := drain(t.Context(), c, api.DrainRequest{Begin: &begin, Text: "Moved"}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "other.json")
	s.reload(t, func(c *Config) { c.OutageFile = file })
	want(strings.TrimSpace(string(before)))
	if !strings.Contains(string(before), "Moved") {
		t.Errorf("%s", before)
	}
	if _, err := abortDrain(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want("{}")
	past := time.Now().Add(-time.Hour)
	if err := checkDrain(&api.DrainRequest{End: &past}); err == nil {
		t.Error("an end in the past")
	}
}

// TestOutageFileFails: a file that cannot be written is logged, and does not keep the
// server from anything.
func TestOutageFileFails(t *testing.T) {
	var log lockedLog
	s := startServer(t, func(c *Config) {
		c.OutageFile = filepath.Join(t.TempDir(), "none", "outage.json")
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	if _, err := drain(t.Context(), adminOf(t, s), api.DrainRequest{}); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "about outages cannot be written"); n != 2 {
		t.Errorf("%d lines in\n%s", n, log.String())
	}
}
