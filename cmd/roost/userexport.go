package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/cli"
	"roost/migrate"
	"roost/session"
	"roost/store"
)

// userExportCmd writes what is stored of one account, for the person whose account it is.
type userExportCmd struct {
	JID accountArg `arg:"" name:"jid" help:"Address of the account: user@domain."`
	To  string     `env:"ROOST_USER_EXPORT_TO" placeholder:"FILE" help:"File to write, which must not exist; it is readable by its owner only (default: standard output)."`
	dataFlags
}

// Help implements kong's HelpProvider.
func (c *userExportCmd) Help() string {
	return "For people who ask for their data: roster, subscription requests, stored messages, vCard, private storage, blocked addresses, clients with tokens and when the account was last online, as JSON. " +
		"There are no keys and no tokens in it, so it is not for an import: roost export writes what another server needs. The server may run."
}

// person is what is written.
type person struct {
	migrate.Person
	Clients []api.TokenClient `json:"clients"` // with tokens
}

// Run writes the data of the account.
func (c *userExportCmd) Run() (err error) {
	ctx, stop := cli.Interrupted()
	defer stop()
	s, err := c.openExisting(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p, err := c.read(ctx, s)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	}
	if c.To == "" || c.To == "-" {
		return write(os.Stdout)
	}
	if err := createFile(c.To, write); err != nil {
		return err
	}
	fmt.Printf("wrote the data of %v to %s\n", c.JID, c.To)
	return nil
}

func (c *userExportCmd) read(ctx context.Context, s store.Store) (p person, err error) {
	d, err := migrate.ReadAccount(ctx, s, c.JID.JID)
	if err != nil {
		return p, storeError(c.JID.JID, err)
	}
	clients, err := session.StoredTokens(ctx, s, &d.Account)
	return person{migrate.Describe(d), admin.DescribeTokens(clients).Clients}, err
}
