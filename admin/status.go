package admin

import (
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"roost/admin/api"
	"roost/internal/version"
)

var statusRoutes = []route{
	{id: "status", method: http.MethodGet, path: api.PathStatus, scope: ScopeRead, response: api.Status{}, handle: (*Server).status,
		summary: "What the server is, what it does and what it uses."},
}

func (s *Server) status(*request) (any, error) {
	now := time.Now()
	counts, stats := s.b.Sessions.Counts(), s.b.Poller.Stats()
	logins := s.b.Sessions.Logins()
	status := api.Status{
		GoVersion: runtime.Version(), PID: os.Getpid(), State: s.b.State(), Domains: s.b.Domains(),
		StartedAt: s.started.UTC().Truncate(time.Second), UptimeSeconds: now.Sub(s.started).Seconds(),
		Sessions:     sessionCounts(counts, s.b.Sessions.RestoredCounts()),
		Connections:  api.Connections{Open: stats.Conns, WebSocket: stats.WebSocketConns, Handshakes: stats.Handshake, AcceptedTotal: stats.Accepted, RefusedTotal: stats.Refused},
		Logins:       api.Logins{Total: logins, PerSecond: s.logins.perSecond(sample{now, logins})},
		Memory:       s.memory(counts.Bound + counts.Unbound),
		Listeners:    s.listeners(),
		Certificates: s.b.Certificates(),
	}
	if s.b.Cluster != nil {
		status.Cluster = s.b.Cluster()
	}
	if s.b.Renewals != nil {
		status.Renewals = s.b.Renewals()
	}
	if s.b.LastBackup != nil {
		status.LastBackup = s.b.LastBackup()
	}
	status.Version, status.Commit = version.Get()
	return status, nil
}

// listeners are the server's addresses, with this interface's own.
func (s *Server) listeners() []api.Listener {
	all := append(s.b.Listeners(), api.Listener{Name: "administration (Unix socket)", Addr: s.b.Socket})
	if s.addr != nil {
		all = append(all, api.Listener{Name: "administration", Addr: s.addr.String()})
	}
	return all
}

// memory is the memory that the process uses with this many sessions.
func (s *Server) memory(sessions int) api.Memory {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m := api.Memory{ResidentBytes: resident(), HeapLiveBytes: int64(live[0].Value.Uint64())}
	m.PredictedBytes, m.KernelBytes = s.b.Predict(sessions)
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		m.LimitBytes = limit
	}
	return m
}

// resident is the process's resident memory in bytes (proc_pid_statm(5)), 0 if it is not
// known.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
