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

// inviteCmd has the commands for invitations.
type inviteCmd struct {
	Create inviteCreateCmd `cmd:"" help:"Create an invitation and show its link."`
	List   inviteListCmd   `cmd:"" help:"List invitations."`
	Revoke inviteRevokeCmd `cmd:"" help:"Withdraw an invitation. Accounts that were created by it stay."`
}

type inviteCreateCmd struct {
	User    string        `field:"username" env:"ROOST_INVITE_USER" placeholder:"NAME" help:"Username of the account; nobody else can register it until the invitation ends (default: the invited person chooses)."`
	Domain  domainArg     `field:"domain" env:"ROOST_INVITE_DOMAIN" placeholder:"NAME" help:"Domain of the account, if the server has several."`
	Expires time.Duration `field:"seconds" env:"ROOST_INVITE_EXPIRES" default:"0s" placeholder:"TIME" help:"How long the invitation is valid (default: the server's --invitation-life)."`
	Uses    int           `field:"uses" env:"ROOST_INVITE_USES" default:"1" placeholder:"N" help:"Number of accounts that can be created (default: ${default})."`
	adminFlags
}

// Help is shown by kong.
func (c *inviteCreateCmd) Help() string {
	return "Whoever has the link can create an account: send it to nobody else. The server keeps only a hash of it, so it is shown once. " +
		"It needs a server with --invitations. " + timesHelp
}

// Validate is called by kong.
func (c *inviteCreateCmd) Validate() error {
	switch {
	case c.Expires < 0:
		return errors.New("--expires must be above 0")
	case c.Uses < 1:
		return errors.New("--uses must be 1 or more")
	}
	return nil
}

// Run makes an invitation.
func (c *inviteCreateCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var i api.InvitationCreated
		q := api.InvitationCreate{Domain: string(c.Domain), Username: c.User, Uses: c.Uses, Seconds: c.Expires.Seconds()}
		if err := client.Do(ctx, http.MethodPost, api.PathInvitations, nil, q, &i); err != nil {
			return err
		}
		return c.print(os.Stdout, i, func(w io.Writer) {
			if i.Page != "" {
				fmt.Fprintln(w, i.Page)
			}
			fmt.Fprintln(w, i.URI)
			fmt.Fprintf(w, "Valid until %s, for %s. To withdraw it: %s\n", i.Until.Local().Format(time.DateTime), accountsText(&i.Invitation), c.suggest("invite", "revoke", i.ID))
		})
	})
}

// accountsText says for which accounts an invitation is.
func accountsText(i *api.Invitation) string {
	switch {
	case i.Uses == 0:
		return "no more accounts"
	case i.Username != "":
		return printable(i.Username + "@" + i.Domain)
	case i.Uses == 1:
		return "one account"
	}
	return comma(int64(i.Uses)) + " accounts"
}

type inviteListCmd struct {
	adminFlags
}

// Help is shown by kong.
func (c *inviteListCmd) Help() string {
	return "Invitations that were used or have ended are listed, too, for a day or longer. With --json each invitation is a JSON object on a line of its own."
}

// Run lists invitations, page by page.
func (c *inviteListCmd) Run() error {
	return listPages(&c.adminFlags, api.PathInvitations, "ID\tFOR\tBY\tSINCE\tEND", func(p *api.InvitationPage) ([]api.Invitation, string) { return p.Invitations, p.Cursor }, invitationRow)
}

// invitationRow returns an invitation as a row of the table.
func invitationRow(i *api.Invitation) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", i.ID, accountsText(i), printable(i.Actor), i.CreatedAt.Local().Format(time.DateTime), i.Until.Local().Format(time.DateTime))
}

type inviteRevokeCmd struct {
	ID string `field:"invitation" arg:"" help:"ID of the invitation, as roost invite list shows it."`
	adminFlags
}

// Run withdraws an invitation.
func (c *inviteRevokeCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var i api.Invitation
		path := strings.Replace(api.PathInvitation, "{invitation}", url.PathEscape(c.ID), 1)
		if err := client.Do(ctx, http.MethodDelete, path, nil, nil, &i); err != nil {
			return err
		}
		return c.print(os.Stdout, i, func(w io.Writer) { fmt.Fprintf(w, "the invitation %s is withdrawn\n", i.ID) })
	})
}
