package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"roost/admin/api"
)

type userTokensCmd struct {
	JID accountArg `arg:"" name:"jid" help:"Address of the account: user@domain."`
	dataFlags
	remoteFlags
	jsonFlag
}

// Help is shown by kong.
func (c *userTokensCmd) Help() string {
	return "A client that supports FAST (XEP-0484) gets a token when it logs in, and need not keep the password. " +
		"A new password, logout and disable revoke all tokens of the account. With --json each client is a JSON object on a line of its own."
}

// Run lists the clients with tokens.
func (c *userTokensCmd) Run() error {
	u := userFlags{remoteFlags: c.remoteFlags}
	return u.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		list, err := a.tokens(ctx, c.JID.JID)
		if err != nil {
			return err
		}
		return writeTokens(os.Stdout, list.Clients, c.JSON)
	})
}

// writeTokens writes clients with tokens.
func writeTokens(to io.Writer, clients []api.TokenClient, asJSON bool) error {
	if asJSON {
		e := jsonLines(to)
		for i := range clients {
			if err := e.Encode(&clients[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLIENT\tSOFTWARE\tDEVICE\tUSED\tEXPIRES")
	for _, x := range clients {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(x.ID), printable(x.Software), printable(x.Device), x.Used.Format(time.DateOnly), x.Expires.Format(time.DateOnly))
	}
	return w.Flush()
}

type userRevokeCmd struct {
	JID    accountArg `arg:"" name:"jid" help:"Address of the account: user@domain."`
	Client string     `arg:"" optional:"" help:"The client, as roost user tokens shows it."`
	All    bool       `env:"ROOST_REVOKE_ALL" help:"Revoke the tokens of all clients. Their sessions continue; roost user logout ends them, too."`
	dataFlags
	userFlags
	jsonFlag
}

// Help is shown by kong.
func (c *userRevokeCmd) Help() string {
	return "The session of the client ends, too, if the client bound its resource together with its login (Bind 2, XEP-0386)."
}

// Validate is called by kong.
func (c *userRevokeCmd) Validate() error {
	if (c.Client != "") == c.All {
		return errors.New("name one client, or use --all")
	}
	return nil
}

// Run revokes tokens.
func (c *userRevokeCmd) Run() error {
	return c.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		done, err := a.revoke(ctx, c.JID.JID, c.Client)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return writeJSON(os.Stdout, done)
		case c.Client != "" && done.Clients == 0 && done.Sessions == 0:
			return fmt.Errorf("%v has no client %s with a token: list them with: %s", c.JID, printable(c.Client), c.suggest("user", "tokens", c.JID.String()))
		}
		fmt.Printf("revoked %s of %v; sessions ended: %d\n", count(int(done.Clients), "token"), c.JID, done.Sessions)
		return nil
	})
}
