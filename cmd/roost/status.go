package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/admin/api"
	"roost/internal/human"
)

// statusCmd shows what the server does.
type statusCmd struct {
	adminFlags
}

// Run asks the server.
func (c *statusCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var s api.Status
		if err := client.Get(ctx, api.PathStatus, nil, &s); err != nil {
			return err
		}
		return c.print(os.Stdout, s, func(w io.Writer) { writeStatus(w, &s) })
	})
}

// writeStatus writes a status for people.
func writeStatus(w io.Writer, s *api.Status) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("server", "roost %s, %s, %s, up for %s (process %d)", s.Version, s.GoVersion, s.State, human.Age(s.UptimeSeconds), s.PID)
	line("domains", "%s", strings.Join(s.Domains, ", "))
	line("online", "%s clients of %s accounts, %s with presence", comma(s.Sessions.Connected), comma(s.Sessions.Accounts), comma(s.Sessions.Available))
	if r := s.Sessions.Restored; r.Total() > 0 {
		line("restored", "%s sessions at the start: %s were resumed since, %s wait for their clients, %s have ended", comma(r.Total()), comma(r.Resumed), comma(r.Waiting), comma(r.Ended))
	}
	line("not logged in", "%s", comma(s.Sessions.Unbound))
	line("connections", "%s open, %s of them over WebSocket, %s TLS handshakes; %s accepted and %s refused since the start",
		comma(s.Connections.Open), comma(s.Connections.WebSocket), comma(s.Connections.Handshakes), comma(s.Connections.AcceptedTotal), comma(s.Connections.RefusedTotal))
	line("logins", "%s a second in the last minute, %s since the start", rateText(s.Logins.PerSecond), comma(s.Logins.Total))
	m := s.Memory
	line("memory", "%s resident; roost check expects %s when all are idle, and %s of the kernel", bytesText(m.ResidentBytes), bytesText(m.PredictedBytes), bytesText(m.KernelBytes))
	if c := s.Cluster; c != nil {
		writeCluster(line, c)
	}
	if b := s.LastBackup; b != nil {
		line("last backup", "%s ago, %s: %s", human.Age(b.AgeSeconds), bytesText(b.Bytes), b.File)
	} else {
		line("last backup", "none by roost backup")
	}
	for _, l := range s.Listeners {
		line("listens", "%s: %s", l.Name, l.Addr)
	}
	for _, c := range s.Certificates {
		kind := ""
		if c.SelfSigned {
			kind = "self-signed, "
		}
		if c.Obtained {
			kind = "by ACME, "
		}
		expiry := fmt.Sprintf("expires in %.0f days", c.ExpiresInDays)
		if c.ExpiresInDays < 0 {
			expiry = "HAS EXPIRED"
		}
		line("certificate", "%s: %s%s (%s)", strings.Join(c.Names, ", "), kind, expiry, c.NotAfter.Format(time.DateOnly))
	}
	writeRenewals(line, s.Renewals)
}

// writeRenewals writes when certificates are obtained, and why that has failed.
func writeRenewals(line func(name, format string, args ...any), all []api.Renewal) {
	for _, r := range all {
		state := "its certificate is renewed in "
		if r.NotAfter == nil {
			state = "it has no certificate yet; the next attempt is in "
		} else if r.Failures > 0 {
			state = "its certificate COULD NOT BE RENEWED; the next attempt is in "
		}
		text := r.Domain + ": " + state + human.Age(max(0, time.Until(r.NextTry).Seconds()))
		if r.Failures > 0 {
			text += fmt.Sprintf(", %s failed: %s", comma(r.Failures), r.Reason)
		}
		line("ACME", "%s", text)
	}
}

// writeCluster writes what a node knows of its cluster.
func writeCluster(line func(name, format string, args ...any), c *api.Cluster) {
	others := strings.Join(c.Others, ", ")
	if others == "" {
		others = "none"
	}
	switch {
	case c.Number == 0:
		line("node", "%s HAS NOT JOINED the cluster yet: see the log", c.Node)
		return
	case !c.Reachable:
		line("node", "%s CANNOT REACH the Redis server, or is refused there: see the log; its lease was renewed %s ago", c.Node, human.Age(c.LeaseAgeSeconds))
	default:
		line("node", "%s; others: %s", c.Node, others)
	}
	if len(c.OtherDomains) > 0 {
		line("domains", "NOT THE SAME as on %s: give all nodes the same --domain", strings.Join(c.OtherDomains, ", "))
	}
	line("cluster", "%s entries; items: %s sent, %s received, %s returned, %s refused, %s waiting; %s lookups, %s more from memory",
		comma(c.Entries), comma(int64(c.SentTotal)), comma(int64(c.ReceivedTotal)), comma(int64(c.ReturnedTotal)), comma(int64(c.RefusedTotal)),
		bytesText(c.WaitingBytes), comma(int64(c.LookupsTotal)), comma(int64(c.HitsTotal)))
}

func comma(n int64) string { return humanize.Comma(n) }

func bytesText(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// printable makes a text of the server, parts of which clients choose, fit for a terminal.
func printable(text string) string { return human.Printable(text, '?') }
