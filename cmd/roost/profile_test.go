package main

import (
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"testing"
)

// TestTuneProfiler: allocations are recorded only for a server that serves profiles.
func TestTuneProfiler(t *testing.T) {
	rate := runtime.MemProfileRate
	defer func() { runtime.MemProfileRate = rate }()
	var c serveCmd
	c.Pprof = "127.0.0.1:0"
	c.tuneProfiler()
	if got := runtime.MemProfileRate; got != rate || rate == 0 {
		t.Errorf("with profiles, the rate is %d, want %d", got, rate)
	}
	c.Pprof = ""
	c.tuneProfiler()
	if got := runtime.MemProfileRate; got != 0 {
		t.Errorf("without profiles, the rate is %d", got)
	}
}

// TestProfileHost: if a web page makes a browser send a request by resolving the page's
// name to 127.0.0.1 (DNS rebinding), the request's Host is that name, and it is rejected.
func TestProfileHost(t *testing.T) {
	addr, stop, err := serveProfiles("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for host, want := range map[string]int{
		"":                     http.StatusOK, // the address itself
		"127.0.0.1":            http.StatusOK,
		"127.8.8.8:1":          http.StatusOK,
		"localhost:6060":       http.StatusOK,
		"LocalHost":            http.StatusOK,
		"[::1]:6060":           http.StatusOK,
		"[::1]":                http.StatusOK,
		"evil.example":         http.StatusForbidden,
		"evil.example:6060":    http.StatusForbidden,
		"localhost.example":    http.StatusForbidden,
		"127.0.0.1.example:80": http.StatusForbidden,
		"192.0.2.1:6060":       http.StatusForbidden,
		"[2001:db8::1]:6060":   http.StatusForbidden,
	} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/symbol"} {
			rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			rq.Host = host
			resp, err := http.DefaultClient.Do(rq)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("host %q, %s: status %d, want %d", host, path, resp.StatusCode, want)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
