package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// serveWith returns the error for roost serve with one flag, "" if there is none.
func serveWith(t *testing.T, name, value string) string {
	t.Helper()
	var c grammar
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = parser.Parse([]string{"serve", "--" + name + "=" + value}); err == nil {
		_, err = c.Serve.validConfig(nil)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestLimits: numeric flags reject meaningless values. A new flag fails this test until
// it has a range.
func TestLimits(t *testing.T) {
	// The values of those tried that are accepted, because they are meaningful.
	meant := map[string][]string{
		"max-register": {"-1"}, "max-failures": {"-1"}, "fanout-rate": {"-1"}, "offline-days": {"-1"}, "stranger-messages": {"-1"}, "stranger-requests": {"-1"}, "max-per-address": {"-1"},
		"max-attempts": {"-1", "0"}, "offline-quota": {"-1", "0"}, "memory-limit": {"0"},
		"idle-timeout": {"-1s"}, "ack-interval": {"-1s"}, "ack-timeout": {"-1s"}, "resume-timeout": {"-1s"}, "token-life": {"-1s"}, "hold-names": {"-1s"}, "user-timeout": {"-1s"},
		"keepalive": {"-1s", "0s"}, "keepalive-batch": {"-1s", "0s"}, "drain-timeout": {"0s"},
	}
	var c grammar
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, f := range flagsOf(ctx) {
		values := tries(f)
		if values == nil {
			continue
		}
		tried++
		for _, v := range values {
			problem := serveWith(t, f.Name, v)
			switch {
			case slices.Contains(meant[f.Name], v):
				if problem != "" {
					t.Errorf("--%s=%s: %s", f.Name, v, problem)
				}
			case strings.Count(problem, "--"+f.Name) != 1:
				t.Errorf("--%s=%s: %q; want one problem with that flag", f.Name, v, problem)
			}
		}
		if problem := serveWith(t, f.Name, another[f.Name]); problem != "" {
			t.Errorf("--%s=%s: %s", f.Name, another[f.Name], problem)
		}
	}
	if tried < len(meant) {
		t.Errorf("%d flags are numbers, want more", tried)
	}
}

// tries returns values that are meaningless for most flags of this kind, or nil if the
// flag is not numeric.
func tries(f *kong.Flag) []string {
	switch f.Target.Interface().(type) {
	case time.Duration:
		return []string{"-7s", "-1s", "-1ns", "0s", "20000h", "2500000h"}
	case byteSize:
		return []string{"-7", "-1", "0", "7", "2TiB"}
	case int, int64, uint, uint64, float64:
		return []string{"-7", "-1", "0", fmt.Sprint(1 << 40), fmt.Sprint(1<<63 - 1)}
	}
	return nil
}

// TestLimitTexts: messages show limits as they are written on the command line.
func TestLimitTexts(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Second: "1s", time.Minute: "1m", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", 20 * time.Hour: "20h", time.Hour + time.Second: "1h0m1s"} {
		if got := timeText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[byteSize]string{0: "0", 1: "1", 10000: "10000", 1 << 10: "1KiB", 10 << 20: "10MiB", 1 << 40: "1TiB"} {
		var back byteSize
		if got := sizeText(n); got != want || back.UnmarshalText([]byte(got)) != nil || back != n {
			t.Errorf("%d: %s, want %s; it is read as %d", n, got, want, back)
		}
	}
}
