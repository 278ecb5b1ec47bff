package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"roost/internal/cli"
)

// profileAddr accepts an address for profiles. They reveal much about the process, so
// only loopback addresses are allowed. Use port forwarding for access from other
// machines.
func profileAddr(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return cli.UsageError(fmt.Sprintf("--pprof: %q is not host:port, such as 127.0.0.1:6060", addr))
	}
	if !loopbackHost(host) {
		return cli.UsageError(fmt.Sprintf("--pprof: %s is not a loopback address; use 127.0.0.1 and forward the port", addr))
	}
	return nil
}

// serveProfiles serves Go's profiles at addr, for `go tool pprof`.
func serveProfiles(addr string, log *slog.Logger) (bound string, stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("profiles: %w", err)
	}
	if host, _, _ := net.SplitHostPort(l.Addr().String()); !loopbackHost(host) { // localhost can resolve to any address
		return "", nil, errors.Join(fmt.Errorf("profiles: %s resolves to %s, which is not a loopback address: use 127.0.0.1", addr, host), l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &http.Server{Handler: loopbackOnly(mux), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the profile server has failed", "err", err)
		}
	}()
	return l.Addr().String(), func() { _ = s.Close(); <-done }, nil
}

// loopbackOnly rejects requests whose Host is not a loopback address. A web page whose
// name resolves to 127.0.0.1 can make its visitor's browser send requests here and read
// the responses (DNS rebinding); their Host header still contains the page's name.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !loopbackHost(host) {
			http.Error(w, "Profiles are served for loopback only: use http://127.0.0.1 and the port.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
