package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"roost/admin/api"
	"roost/jid"
)

// traceCmd follows what one session sends and receives.
type traceCmd struct {
	JID    oneSessionArg `field:"jid" arg:"" name:"jid" help:"Full JID of the session: user@domain/resource. The bare JID is enough if the account has one session."`
	For    time.Duration `field:"seconds" env:"ROOST_TRACE_FOR" default:"5m" placeholder:"TIME" help:"How long to follow it, at most 1h (default: ${default})."`
	Bodies bool          `field:"bodies" env:"-" help:"Also show text and the values of all attributes, such as the bodies of messages. Credentials are never shown."`
	adminFlags
}

// Help is shown by kong.
func (c *traceCmd) Help() string {
	return "C: is what the client sends, S: what the server sends to it, with the size in bytes. \"…\" is written instead of text and other private content, \"***\" instead of credentials. " +
		"The command ends after the time, with the session, and on Ctrl-C. The audit log records it. With --json each line is a JSON object. " + timesHelp
}

// Validate is called by kong.
func (c *traceCmd) Validate() error {
	if c.For <= 0 || c.For > time.Hour {
		return errors.New("--for must be above 0 and at most 1h")
	}
	return nil
}

// oneSessionArg is the full JID of a session, or the bare one of an account with one
// session.
type oneSessionArg struct{ jid.JID }

// UnmarshalText parses the address.
func (a *oneSessionArg) UnmarshalText(text []byte) (err error) {
	if a.JID, err = jid.Parse(string(text)); err != nil || a.Local() == "" {
		return fmt.Errorf("%q is not the JID of a session, such as romeo@example.org/phone; roost online lists sessions", text)
	}
	return nil
}

// Run follows the session.
func (c *traceCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		path := strings.Replace(api.PathTrace, "{jid}", url.PathEscape(c.JID.String()), 1)
		q := url.Values{"seconds": {strconv.FormatFloat(c.For.Seconds(), 'f', -1, 64)}}
		if c.Bodies {
			q.Set("bodies", "true")
		}
		e := json.NewEncoder(os.Stdout)
		e.SetEscapeHTML(false)
		for line, err := range api.Stream[api.TraceLine](ctx, client, http.MethodPost, path, q, nil) {
			switch {
			case ctx.Err() != nil:
				return nil // Ctrl-C
			case err != nil:
				return err
			case c.JSON:
				err = e.Encode(&line)
			default:
				err = c.write(os.Stdout, &line)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// onOneLine replaces what would begin another line.
var onOneLine = strings.NewReplacer("\r\n", "↵", "\n", "↵", "\r", "↵", "\t", " ")

// write writes a line for people.
func (c *traceCmd) write(w io.Writer, l *api.TraceLine) error {
	clock := l.Time.Local().Format("15:04:05.000")
	var b strings.Builder
	if l.Lost > 0 {
		fmt.Fprintf(&b, "%s %s missing here: this command was too slow\n", clock, comma(l.Lost))
	}
	switch l.Kind {
	case api.TraceBegin:
		text := "text is hidden"
		if c.Bodies {
			text = "text is shown"
		}
		fmt.Fprintf(&b, "%s %s is traced until %s; %s\n", clock, printable(l.JID), l.Until.Local().Format(time.TimeOnly), text)
	case api.TraceEnd:
		fmt.Fprintf(&b, "%s %s\n", clock, traceEnd(l.Reason))
	default:
		from := "C:"
		if l.Kind == api.TraceSent {
			from = "S:"
		}
		text := l.XML
		if text == "" {
			text = "(not shown: it cannot be parsed)"
		}
		fmt.Fprintf(&b, "%s %s %6d %s\n", clock, from, l.Bytes, printable(onOneLine.Replace(text)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// traceEnd says why a trace has ended.
func traceEnd(reason string) string {
	switch reason {
	case api.TraceTimeUp:
		return "the time is up"
	case "closed":
		return "the session has ended: the client has closed it"
	case "lost":
		return "the session has ended: its connection was lost"
	case "slow-reader":
		return "the session has ended: the client did not read what was sent to it"
	case "moved":
		return "the client has resumed the session on another node"
	}
	return "the session has ended with the stream error " + printable(reason)
}
