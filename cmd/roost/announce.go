package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"

	"roost/admin/api"
)

// announceCmd sends a message to the clients that are online.
type announceCmd struct {
	Text    string    `field:"text" arg:"" optional:"" help:"What clients are told, at most 4,000 characters."`
	Subject string    `field:"subject" env:"ROOST_ANNOUNCE_SUBJECT" placeholder:"TEXT" help:"Subject of the message."`
	Domain  domainArg `field:"domain" env:"ROOST_ANNOUNCE_DOMAIN" placeholder:"NAME" help:"Clients of this domain only."`
	Rate    float64   `field:"rate" env:"ROOST_ANNOUNCE_RATE" default:"0" placeholder:"N" help:"Clients a second (default: 2,000)."`
	Wait    bool      `env:"ROOST_ANNOUNCE_WAIT" help:"Wait until the message is sent to all; Ctrl-C aborts it. On a terminal the command always waits, and shows progress."`
	Status  bool      `env:"-" xor:"action" help:"Show the announcement that is being sent, or that was sent last."`
	Abort   bool      `env:"-" xor:"action" help:"Abort the announcement that is being sent."`
	adminFlags
}

// Help is shown by kong.
func (c *announceCmd) Help() string {
	return "Every client with presence gets one message of the type headline from its domain, at a limited rate. " +
		"Clients that are offline do not get it, and neither do clients that have too much to read already: those are counted."
}

// Validate is called by kong.
func (c *announceCmd) Validate() error {
	switch given := c.Text != ""; {
	case given && (c.Status || c.Abort):
		return errors.New("--status and --abort take no text")
	case !given && !c.Status && !c.Abort:
		return errors.New("give the text that clients are to be told")
	case c.Rate < 0:
		return errors.New("--rate must be above 0")
	}
	return nil
}

// Run sends, shows or aborts an announcement.
func (c *announceCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		a := action[api.Announce]{
			client: client, path: api.PathAnnounce, line: announceLine,
			running: func(a *api.Announce) bool { return a.State == api.JobRunning },
		}
		var err error
		switch {
		case c.Status:
			err = a.show(ctx)
		case c.Abort:
			err = a.abort(ctx)
		default:
			err = a.start(ctx, api.AnnounceRequest{Text: c.Text, Subject: c.Subject, Domain: string(c.Domain), Rate: c.Rate})
			if terminal := terminalOut(); err == nil && (c.Wait || terminal != nil) {
				err = c.wait(ctx, terminal, &a)
			}
		}
		if err != nil {
			return err
		}
		return c.print(os.Stdout, a.status, func(w io.Writer) { fmt.Fprintln(w, announceLine(&a.status)) })
	})
}

// abortTimeout is how long the server may take to abort something after Ctrl-C.
const abortTimeout = 10 * time.Second

// wait waits until the announcement is sent. If it is interrupted, it has the server abort
// it.
func (c *announceCmd) wait(ctx context.Context, terminal io.Writer, a *action[api.Announce]) error {
	if c.JSON {
		terminal = nil
	}
	err := a.wait(ctx, terminal)
	if ctx.Err() != nil {
		ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
		defer cancel()
		err = a.abort(ctx)
	}
	return err
}

// announceLine is a line about an announcement.
func announceLine(a *api.Announce) string {
	all := max(a.Clients, a.Sent+a.Skipped) // clients that have come meanwhile get it, too
	line := fmt.Sprintf("%s: sent to %s of %s clients", a.State, comma(a.Sent), comma(all))
	if a.Skipped > 0 {
		line += fmt.Sprintf(", %s have too much to read already", comma(a.Skipped))
	}
	if a.State == api.JobRunning {
		line += fmt.Sprintf(" (%s a second)", humanize.Commaf(a.Rate))
	}
	return line
}
