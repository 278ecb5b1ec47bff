package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"roost/admin/api"
)

// blockCmd has the commands for blocks.
type blockCmd struct {
	Add  blockAddCmd  `cmd:"" default:"withargs" help:"Block a network or an account (the default: add may be left out)."`
	List blockListCmd `cmd:"" help:"List what is blocked."`
}

type blockAddCmd struct {
	Target string        `field:"target" arg:"" help:"An address, a network such as 192.0.2.0/24, or an account such as romeo@example.org."`
	For    time.Duration `field:"seconds" env:"ROOST_BLOCK_FOR" default:"0s" placeholder:"TIME" help:"How long it is blocked (default: until roost unblock)."`
	Reason string        `field:"reason" env:"ROOST_BLOCK_REASON" placeholder:"TEXT" help:"Why; clients of a blocked account are told, those of a network are not."`
	adminFlags
}

// Help is shown by kong.
func (c *blockAddCmd) Help() string {
	return "Its sessions end, and new ones are refused: connections from a network when they are accepted, an account when it logs in. " +
		"The administration interface is never blocked. " + timesHelp
}

// Validate is called by kong.
func (c *blockAddCmd) Validate() error {
	if c.For < 0 {
		return errors.New("--for must be above 0")
	}
	return nil
}

// Run blocks something.
func (c *blockAddCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var b api.BlockResult
		q := api.BlockRequest{Target: c.Target, Seconds: c.For.Seconds(), Reason: c.Reason}
		if err := client.Do(ctx, http.MethodPost, api.PathBlocks, nil, q, &b); err != nil {
			return err
		}
		return c.print(os.Stdout, b, func(w io.Writer) {
			fmt.Fprintf(w, "%s is blocked %s; connections ended: %s\n", printable(b.Target), untilText(b.Until), comma(b.Sessions))
			if b.Pending {
				fmt.Fprintln(w, "An event loop of the server does not respond; connections that depend on it end as soon as it does.")
			}
		})
	})
}

// untilText says when a block ends.
func untilText(until *time.Time) string {
	if until == nil {
		return "without an end"
	}
	return "until " + until.Local().Format(time.DateTime)
}

type blockListCmd struct {
	adminFlags
}

// Help is shown by kong.
func (c *blockListCmd) Help() string {
	return "With --json each block is a JSON object on a line of its own."
}

// Run lists blocks, page by page.
func (c *blockListCmd) Run() error {
	return listPages(&c.adminFlags, api.PathBlocks, "BLOCKED\tEND\tBY\tSINCE\tREASON", func(p *api.BlockPage) ([]api.Block, string) { return p.Blocks, p.Cursor }, blockRow)
}

// blockRow returns a block as a row of the table.
func blockRow(b *api.Block) string {
	end := "none"
	if b.Until != nil {
		end = b.Until.Local().Format(time.DateTime)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", printable(b.Target), end, printable(b.Actor), b.CreatedAt.Local().Format(time.DateTime), printable(b.Reason))
}

// unblockCmd removes a block.
type unblockCmd struct {
	Target string `field:"target" arg:"" help:"What is blocked: an address, a network or an account."`
	adminFlags
}

// Run removes a block.
func (c *unblockCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var b api.Block
		path := strings.Replace(api.PathBlock, "{target}", url.PathEscape(c.Target), 1)
		if err := client.Do(ctx, http.MethodDelete, path, nil, nil, &b); err != nil {
			return err
		}
		return c.print(os.Stdout, b, func(w io.Writer) { fmt.Fprintf(w, "%s is not blocked any more\n", printable(b.Target)) })
	})
}
