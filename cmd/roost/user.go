package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"roost/internal/cli"
	"roost/jid"
	"roost/store"
)

// userCmd contains the commands for accounts. They work on the database, so the server
// may be running or not.
type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add an account."`
	Passwd userPasswdCmd `cmd:"" help:"Change an account's password."`
	Del    userDelCmd    `cmd:"" help:"Delete an account with its roster, messages and all other data. This cannot be undone."`
	List   userListCmd   `cmd:"" help:"List accounts, one address per line."`
	Import userImportCmd `cmd:"" help:"Add accounts from a CSV file with lines of the form jid,password."`
}

type userAddCmd struct {
	JID accountArg `arg:"" name:"jid" help:"Address of the account: user@domain."`
	passwordFlags
	newAccountFlags
}

type userPasswdCmd struct {
	JID accountArg `arg:"" name:"jid" help:"Address of the account: user@domain."`
	keepSessionsFlag
	passwordFlags
	dataFlags
}

type userDelCmd struct {
	JID accountArg `arg:"" name:"jid" help:"Address of the account: user@domain."`
	dataFlags
}

type userListCmd struct {
	Domain domainArg `env:"ROOST_LIST_DOMAIN" placeholder:"NAME" help:"List only the accounts of this domain."`
	dataFlags
}

// keepSessionsFlag is for commands that change passwords.
type keepSessionsFlag struct {
	KeepSessions bool `env:"ROOST_KEEP_SESSIONS" help:"Keep clients connected that logged in with the old password, instead of making them log in again."`
}

// passwordFlags are for commands that need one password.
type passwordFlags struct {
	PasswordStdin bool `env:"ROOST_PASSWORD_STDIN" help:"Read the password from standard input (first line) instead of asking for it."`
	iterationFlags
}

// iterationFlags set the cost of guessing a password.
type iterationFlags struct {
	Iterations int `default:"10000" env:"ROOST_ITERATIONS" placeholder:"N" help:"Iterations of the key derivation (SCRAM), 4096 to 10000000 (default: ${default}). More make it slower to guess passwords from a stolen database, but also make each login slower."`
}

// Validate is called by kong after parsing.
func (f *iterationFlags) Validate() error {
	if f.Iterations < store.MinIterations || f.Iterations > store.MaxIterations {
		return fmt.Errorf("--iterations must be %d to %d", store.MinIterations, store.MaxIterations)
	}
	return nil
}

// accountArg is an account's address on the command line.
type accountArg struct{ jid.JID }

// UnmarshalText parses the address.
func (a *accountArg) UnmarshalText(text []byte) error {
	j, err := parseAccount(string(text))
	a.JID = j
	return err
}

// domainArg is a domain on the command line.
type domainArg string

// UnmarshalText normalizes the domain.
func (d *domainArg) UnmarshalText(text []byte) error {
	domain, err := jid.NormalizeDomain(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a domain name", text)
	}
	*d = domainArg(domain)
	return nil
}

// parseAccount parses an address and explains what is wrong with it.
func parseAccount(s string) (jid.JID, error) {
	j, err := jid.Parse(s)
	switch {
	case err != nil:
		return jid.JID{}, fmt.Errorf("%q is not an address (%w)", s, err)
	case !j.IsAccount():
		return jid.JID{}, fmt.Errorf("%q is not the address of an account: it must look like user@domain", s)
	}
	return j, nil
}

// Run adds an account.
func (c *userAddCmd) Run() error {
	return c.do(c.openForNew, c.JID.JID, func(ctx context.Context, s store.Accounts, j jid.JID, ask passwordSource, iterations int) (string, error) {
		allowed, err := c.domainFilter()
		if err != nil {
			return "", err
		}
		if err := allowed(j.Domain()); err != nil {
			return "", fmt.Errorf("%v not added: %w; add --domain %s to roost serve, or use --any-domain", j, err, j.Domain())
		}
		done, err := addAccount(ctx, s, j, ask, iterations)
		return done, c.instead(err)
	})
}

// Run changes a password.
func (c *userPasswdCmd) Run() error {
	return c.do(c.openExisting, c.JID.JID, func(ctx context.Context, s store.Accounts, j jid.JID, ask passwordSource, iterations int) (string, error) {
		done, err := passwordChange{c.KeepSessions}.run(ctx, s, j, ask, iterations)
		return done, c.instead(err)
	})
}

// do opens the store and runs a command that needs a password.
func (f *passwordFlags) do(open opener, j jid.JID, run func(context.Context, store.Accounts, jid.JID, passwordSource, int) (string, error)) error {
	ask, err := f.source(os.Stdin)
	if err != nil {
		return err
	}
	return withStore(open, func(ctx context.Context, s store.Accounts) error {
		done, err := run(ctx, s, j, ask, f.Iterations)
		if err == nil {
			fmt.Println(done)
		}
		return err
	})
}

// Run deletes an account.
func (c *userDelCmd) Run() error {
	return withStore(c.openExisting, func(ctx context.Context, s store.Accounts) error {
		err := s.DeleteAccount(ctx, c.JID.JID)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no account %v", c.JID)
		}
		if err == nil {
			fmt.Printf("deleted %v\n", c.JID)
		}
		return err
	})
}

// Run lists accounts.
func (c *userListCmd) Run() error {
	return withStore(c.openExisting, func(ctx context.Context, s store.Accounts) error {
		return listAccounts(ctx, s, string(c.Domain), os.Stdout)
	})
}

// opener opens the store.
type opener func(context.Context) (store.Store, error)

// withStore runs f with the store, and with a context that ends when the command
// is interrupted.
func withStore(open opener, f func(context.Context, store.Accounts) error) (err error) {
	ctx, stop := cli.Interrupted()
	defer stop()
	s, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(ctx, s)
}

// errExists and errMissing report that the account exists already or does not exist.
// instead adds the command to use instead.
type (
	errExists  struct{ jid.JID }
	errMissing struct{ jid.JID }
)

func (e errExists) Error() string  { return e.JID.String() + " exists already" }
func (e errMissing) Error() string { return "there is no account " + e.JID.String() }

// instead adds the command that does what the user wanted to an error.
func (f *dataFlags) instead(err error) error {
	var exists errExists
	var missing errMissing
	switch {
	case errors.As(err, &exists):
		return fmt.Errorf("%w: change its password with: %s", err, f.suggest("user", "passwd", exists.String()))
	case errors.As(err, &missing):
		return fmt.Errorf("%w: add it with: %s", err, f.suggest("user", "add", missing.String()))
	}
	return err
}

// addAccount adds an account and returns the message for the user.
func addAccount(ctx context.Context, s store.Accounts, j jid.JID, ask passwordSource, iterations int) (string, error) {
	exists := errExists{j}
	_, err := s.Account(ctx, j)
	if err == nil {
		return "", exists
	}
	if !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	credentials, err := askCredentials(ctx, ask, iterations)
	if err != nil {
		return "", err
	}
	err = s.CreateAccount(ctx, store.Account{JID: j, Credentials: credentials})
	if errors.Is(err, store.ErrExists) {
		return "", exists
	}
	return fmt.Sprintf("added %v", j), err
}

// passwordChange is a change of a password.
type passwordChange struct{ keepSessions bool }

// run replaces an account's credentials and returns the message for the user.
func (p passwordChange) run(ctx context.Context, s store.Accounts, j jid.JID, ask passwordSource, iterations int) (string, error) {
	missing := errMissing{j}
	_, err := s.Account(ctx, j)
	if errors.Is(err, store.ErrNotFound) {
		return "", missing
	}
	if err != nil {
		return "", err
	}
	credentials, err := askCredentials(ctx, ask, iterations)
	if err != nil {
		return "", err
	}
	_, err = s.SetCredentials(ctx, j, credentials, p.keepSessions)
	if errors.Is(err, store.ErrNotFound) {
		return "", missing
	}
	return fmt.Sprintf("changed the password of %v", j), err
}

// listAccounts writes the addresses of accounts, sorted by domain, and marks those that
// may not log in.
func listAccounts(ctx context.Context, s store.Accounts, domain string, to io.Writer) error {
	w := bufio.NewWriter(to)
	err := store.EachAccount(ctx, s, domain, func(a store.Account) error {
		w.WriteString(a.JID.String())
		if a.Disabled {
			w.WriteString("\tdisabled")
		}
		return w.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	return w.Flush()
}
