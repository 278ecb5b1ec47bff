package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"roost/admin/api"
	"roost/internal/human"
	"roost/jid"
)

// onlineCmd lists sessions.
type onlineCmd struct {
	Domain  domainArg     `field:"domain" env:"ROOST_ONLINE_DOMAIN" placeholder:"NAME" help:"Only sessions of this domain."`
	Account *accountArg   `field:"account" env:"ROOST_ONLINE_ACCOUNT" placeholder:"JID" help:"Only sessions of this account."`
	Network string        `field:"network" env:"ROOST_ONLINE_NETWORK" placeholder:"CIDR" help:"Only clients of this address or network, such as 192.0.2.0/24."`
	MinIdle time.Duration `field:"min_idle" env:"ROOST_ONLINE_MIN_IDLE" placeholder:"TIME" help:"Only clients that have been silent for at least this long."`
	TLS     string        `field:"tls" name:"tls" env:"ROOST_ONLINE_TLS" enum:",none,tls12,std,lean" default:"" placeholder:"KIND" help:"Only sessions with this kind of TLS: none, tls12 (TLS 1.2), lean (TLS 1.3 by roost's own record layer, the usual case) or std (TLS 1.3 by Go's crypto/tls)."`
	Sort    string        `field:"sort" env:"ROOST_ONLINE_SORT" enum:"jid,idle,queued" default:"jid" placeholder:"KEY" help:"Sort by jid, by idle (the longest idle time first) or by queued (the most unread bytes first) (default: ${default})."`
	Limit   int           `field:"limit" env:"ROOST_ONLINE_LIMIT" default:"0" placeholder:"N" help:"Show at most this many sessions; 0: all (default: ${default})."`
	adminFlags
}

// Validate is called by kong.
func (c *onlineCmd) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit must be 0 or more")
	}
	if c.MinIdle < 0 {
		return fmt.Errorf("--min-idle must be 0 or more")
	}
	return nil
}

// Help is shown by kong.
func (c *onlineCmd) Help() string {
	return "A session is a client that has logged in and has a resource. The list is read in pages: sessions that come or go meanwhile may be missing. " +
		"With --json each session is a JSON object on a line of its own. " + timesHelp
}

// query is what the server is asked for.
func (c *onlineCmd) query() url.Values {
	q := url.Values{"sort": {c.Sort}}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("domain", string(c.Domain))
	set("network", c.Network)
	set("tls", c.TLS)
	if c.Account != nil {
		set("account", c.Account.String())
	}
	if c.MinIdle > 0 {
		set("min_idle", strconv.FormatFloat(c.MinIdle.Seconds(), 'f', -1, 64))
	}
	return q
}

// Run lists sessions, page by page.
func (c *onlineCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		q, shown, table := c.query(), 0, sessionTable{}
		page := func() string {
			if c.Limit > 0 {
				return strconv.Itoa(min(maxPage, c.Limit-shown))
			}
			return strconv.Itoa(maxPage)
		}
		q.Set("limit", page())
		return eachPage(ctx, client, api.PathSessions, q, func(p *api.SessionPage) (next string, err error) {
			if err := c.write(os.Stdout, p, &table); err != nil {
				return "", err
			}
			shown += len(p.Sessions)
			if p.Cursor != "" && shown != c.Limit {
				q.Set("limit", page())
				return p.Cursor, nil
			}
			if !c.JSON {
				fmt.Printf("%s of %s sessions\n", comma(int64(shown)), comma(p.Matching))
			}
			return "", nil
		})
	})
}

// write writes a page.
func (c *onlineCmd) write(to io.Writer, p *api.SessionPage, table *sessionTable) error {
	if !c.JSON {
		return table.write(to, p.Sessions)
	}
	e := jsonLines(to)
	for i := range p.Sessions {
		if err := e.Encode(&p.Sessions[i]); err != nil {
			return err
		}
	}
	return nil
}

// sessionTable is a table of sessions, of which there may be too many for one tabwriter. Its
// columns never get narrower.
type sessionTable struct {
	begun  bool
	widths [7]int // of the columns, in characters
}

// write writes the next rows, and before the first ones the head.
func (t *sessionTable) write(to io.Writer, all []api.Session) error {
	rows := make([][len(t.widths)]string, 0, len(all)+1)
	if !t.begun {
		rows, t.begun = append(rows, [...]string{"SESSION", "ADDRESS", "OVER", "TLS", "IDLE", "PRESENCE", "UNREAD"}), true
	}
	for i := range all {
		s := &all[i]
		rows = append(rows, [...]string{printable(s.JID), s.Address, transportText(s.Transport), string(s.TLS), human.Age(s.IdleSeconds), presenceText(s), bytesText(s.QueuedBytes)})
	}
	for _, row := range rows {
		for i, text := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(text))
		}
	}
	w := bufio.NewWriter(to)
	for _, row := range rows {
		last := len(row) - 1
		for i, text := range row[:last] {
			fmt.Fprintf(w, "%-*s  ", t.widths[i], text)
		}
		fmt.Fprintln(w, row[last])
	}
	return w.Flush()
}

// transportText is what carries the stream of a session, for people.
func transportText(t api.Transport) string {
	switch t {
	case api.TransportTCP:
		return "TCP"
	case api.TransportWebSocket:
		return "WebSocket"
	}
	return "-"
}

func presenceText(s *api.Session) string {
	if !s.Available {
		return "-"
	}
	return fmt.Sprint("priority ", s.Priority)
}

// sessionCmd has the commands for one session.
type sessionCmd struct {
	Show sessionShowCmd `cmd:"" help:"Show one session."`
	End  sessionEndCmd  `cmd:"" help:"End one session. The client may log in again."`
}

// fullArg is a full JID on the command line.
type fullArg struct{ jid.JID }

// UnmarshalText parses the address.
func (a *fullArg) UnmarshalText(text []byte) (err error) {
	a.JID, err = jid.Parse(string(text))
	if err != nil || a.Local() == "" || !a.IsFull() {
		return fmt.Errorf("%q is not the full JID of a session, such as romeo@example.org/phone; roost online lists sessions", text)
	}
	return nil
}

// path is the path of the session.
func (a *fullArg) path() string {
	return strings.Replace(api.PathSession, "{jid}", url.PathEscape(a.String()), 1)
}

type sessionShowCmd struct {
	JID fullArg `field:"jid" arg:"" name:"jid" help:"Full JID of the session: user@domain/resource."`
	adminFlags
}

// Run shows a session.
func (c *sessionShowCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var d api.SessionDetail
		if err := client.Get(ctx, c.JID.path(), nil, &d); err != nil {
			return err
		}
		return c.print(os.Stdout, d, func(w io.Writer) { writeSession(w, &d) })
	})
}

func writeSession(w io.Writer, d *api.SessionDetail) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-18s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	yes := map[bool]string{true: "yes", false: "no"}
	line("session", "%s", d.JID)
	line("address", "%s", d.Address)
	line("over", "%s", transportText(d.Transport))
	line("TLS", "%s", d.TLS)
	line("last input", "%s, %s ago", d.LastInput.Format(time.RFC3339), human.Age(d.IdleSeconds))
	line("presence", "%s, %d bytes", presenceText(&d.Session), d.PresenceBytes)
	line("directed presence", "to %d addresses", d.DirectedPresence)
	line("roster requested", "%s", yes[d.Interested])
	line("unread", "%s", bytesText(d.QueuedBytes))
	if len(d.Conditions) > 0 {
		line("conditions", "%s", strings.Join(d.Conditions, ", "))
	}
}

type sessionEndCmd struct {
	JID  fullArg `field:"jid" arg:"" name:"jid" help:"Full JID of the session: user@domain/resource."`
	Text string  `field:"text" env:"ROOST_SESSION_TEXT" placeholder:"TEXT" help:"Text to send to the client (default: that the administrator has ended the session)."`
	adminFlags
}

// Run ends a session.
func (c *sessionEndCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		q := url.Values{}
		if c.Text != "" {
			q.Set("text", c.Text)
		}
		var e api.SessionEnd
		if err := client.Do(ctx, http.MethodDelete, c.JID.path(), q, nil, &e); err != nil {
			return err
		}
		return c.print(os.Stdout, e, func(w io.Writer) { fmt.Fprintf(w, "%s is ended\n", printable(e.JID)) })
	})
}
