package server

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/loglevel"
)

// TestAdminLogLevel: the level is shown and changed; wrong changes are refused and change
// nothing.
func TestAdminLogLevel(t *testing.T) {
	var level loglevel.Level
	s := startServer(t, func(c *Config) { c.Admin.LogLevel = &level })
	client := adminOf(t, s)
	var l api.LogLevel
	if err := client.Get(t.Context(), api.PathLogLevel, nil, &l); err != nil || l != (api.LogLevel{Level: "info", Configured: "info"}) {
		t.Errorf("%+v %v", l, err)
	}
	for _, c := range []struct {
		in   any
		want string
	}{
		{api.LogLevelChange{Level: "loud"}, `"loud" is not a level`},
		{api.LogLevelChange{Level: "DEBUG"}, `"DEBUG" is not a level`},
		{api.LogLevelChange{Seconds: 1}, `"" is not a level`},
		{api.LogLevelChange{Level: "debug", Seconds: -1}, "seconds must be above 0"},
		{api.LogLevelChange{Level: "debug", Seconds: 1e300}, "seconds must be above 0"},
		{map[string]string{"level": "debug", "for": "10m"}, `unknown field "for"`},
	} {
		if err := client.Do(t.Context(), "PUT", api.PathLogLevel, nil, c.in, &l); !hasCode(err, api.CodeBadRequest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.in, err, c.want)
		}
	}
	if level.Level() != slog.LevelInfo {
		t.Errorf("wrong requests have changed the level to %v", level.Level())
	}
	for seconds, want := range map[float64]time.Duration{0: 10 * time.Minute, 86400: 24 * time.Hour} {
		before := time.Now()
		err := client.Do(t.Context(), "PUT", api.PathLogLevel, nil, api.LogLevelChange{Level: "debug", Seconds: seconds}, &l)
		if err != nil || l.Level != "debug" || l.Configured != "info" || l.Until.Before(before.Add(want)) || l.Until.After(time.Now().Add(want)) {
			t.Errorf("%+v %v", l, err)
		}
		if level.Level() != slog.LevelDebug {
			t.Errorf("level %v", level.Level())
		}
	}
}

// TestAdminNoLogLevel: a program that embeds the server may keep its log to itself.
func TestAdminNoLogLevel(t *testing.T) {
	client := adminOf(t, startServer(t, nil))
	if err := client.Get(t.Context(), api.PathLogLevel, nil, nil); !hasCode(err, api.CodeUnavailable) {
		t.Error(err)
	}
	if err := client.Do(t.Context(), "PUT", api.PathLogLevel, nil, api.LogLevelChange{Level: "debug"}, nil); !hasCode(err, api.CodeUnavailable) {
		t.Error(err)
	}
}
