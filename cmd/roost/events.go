package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"roost/admin/api"
)

// eventsCmd follows what happens in the server.
type eventsCmd struct {
	Kind    []string    `field:"kind" env:"ROOST_EVENTS_KIND" enum:"login,login-failed,end,detached,resumed,account,admin,log" placeholder:"KIND" help:"Only events of these kinds: login, login-failed, end (of a session), detached (it has lost its connection, and waits for its client to resume it), resumed, account (it was created, changed or deleted), admin (an action of an administrator), log (a line of the server's log)."`
	Account *accountArg `field:"account" env:"ROOST_EVENTS_ACCOUNT" placeholder:"JID" help:"Only events of this account."`
	adminFlags
}

// Help is shown by kong.
func (c *eventsCmd) Help() string {
	return "Events are shown as they happen, until Ctrl-C. The server keeps none: earlier ones are in its log and in the audit log. " +
		"With --json each event is a JSON object on a line of its own."
}

// Run shows events until it is interrupted.
func (c *eventsCmd) Run() error {
	q := url.Values{}
	if len(c.Kind) > 0 {
		q.Set("kind", strings.Join(c.Kind, ","))
	}
	if c.Account != nil {
		q.Set("account", c.Account.String())
	}
	return c.ask(func(ctx context.Context, client *api.Client) error {
		return follow(ctx, client, http.MethodGet, api.PathEvents, q, c.JSON, writeEvent)
	})
}

// follow writes the lines of a stream to stdout, as they are if asJSON, until it ends or
// the command is interrupted, which is not an error.
func follow[T any](ctx context.Context, client *api.Client, method, path string, q url.Values, asJSON bool, write func(io.Writer, *T)) error {
	for line, err := range api.Stream[json.RawMessage](ctx, client, method, path, q, nil) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if asJSON {
			if _, err := fmt.Printf("%s\n", line); err != nil {
				return err
			}
			continue
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		write(os.Stdout, &v)
	}
	return nil
}

// writeEvent writes an event on a line.
func writeEvent(w io.Writer, e *api.Event) {
	fmt.Fprintf(w, "%s  %-12s  %s\n", e.Time.Local().Format(time.DateTime), printable(string(e.Kind)), printable(eventText(e)))
}

// eventText says what has happened.
func eventText(e *api.Event) string {
	switch e.Kind {
	case api.EventLogin, api.EventResumed:
		return e.JID + optional(" from ", e.Peer)
	case api.EventLoginFailed:
		return cmp.Or(e.JID, "(no account)") + optional(" from ", e.Peer) + optional(", ", e.Mechanism) + ": " + e.Reason
	case api.EventEnd:
		return e.JID + optional(" from ", e.Peer) + ": " + e.Reason + optional(": ", e.Cause)
	case api.EventDetached:
		return e.JID + optional(": ", e.Cause)
	case api.EventAccount:
		return e.JID + " " + e.Action
	case api.EventAdmin:
		return cmp.Or(e.Actor, "(unknown)") + optional(" from ", e.Peer) + ": " + e.Action + optional(" ", e.Object) + ": " + e.Result
	case api.EventLog:
		return e.Level + ": " + e.Text + optional(" ", e.Fields)
	case api.EventLost:
		return comma(int64(e.Lost)) + " events are missing here: this reader is too slow"
	}
	return "" // of a newer server
}

// optional returns text with what precedes it, or nothing if there is no text.
func optional(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
