package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"roost/admin"
	"roost/admin/api"
	"roost/jid"
	"roost/store"
)

// userCmd are the commands for accounts. They ask the running server. If none runs, they
// work on the database.
type userCmd struct {
	Add     userAddCmd     `cmd:"" help:"Add an account."`
	Passwd  userPasswdCmd  `cmd:"" help:"Change an account's password."`
	Disable userDisableCmd `cmd:"" help:"Lock an account: its clients are disconnected and cannot log in."`
	Enable  userEnableCmd  `cmd:"" help:"Let a locked account log in again."`
	Logout  userLogoutCmd  `cmd:"" help:"Disconnect all clients of an account and revoke their tokens. They may log in again, with the password."`
	Tokens  userTokensCmd  `cmd:"" help:"List the clients of an account that log in by a token instead of the password."`
	Revoke  userRevokeCmd  `cmd:"" help:"Revoke the token of a client of an account, so that it needs the password again."`
	Del     userDelCmd     `cmd:"" help:"Delete an account with its roster, messages and all other data. This cannot be undone."`
	Show    userShowCmd    `cmd:"" help:"Show one account."`
	List    userListCmd    `cmd:"" help:"List accounts, one address per line."`
	Export  userExportCmd  `cmd:"" help:"Write everything that is stored of one account as JSON, for the person whose account it is."`
	Import  userImportCmd  `cmd:"" help:"Add accounts from a CSV file with lines of the form jid,password."`
}

type userAddCmd struct {
	JID accountArg `arg:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	passwordFlags
	newAccountFlags
	userFlags
	jsonFlag
}

type userPasswdCmd struct {
	JID accountArg `arg:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	keepSessionsFlag
	passwordFlags
	dataFlags
	userFlags
	jsonFlag
}

type userDisableCmd struct {
	JID accountArg `arg:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	dataFlags
	userFlags
	jsonFlag
}

type userEnableCmd struct {
	JID accountArg `arg:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	dataFlags
	userFlags
	jsonFlag
}

type userLogoutCmd struct {
	JID  accountArg `arg:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	Text string     `field:"text" env:"ROOST_LOGOUT_TEXT" placeholder:"TEXT" help:"Text to send to the clients (default: that the administrator has ended the session)."`
	adminFlags
}

type userShowCmd struct {
	JID accountArg `arg:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	dataFlags
	remoteFlags
	jsonFlag
}

type userListCmd struct {
	useFlags

	Domain  domainArg `field:"domain" env:"ROOST_LIST_DOMAIN" placeholder:"NAME" help:"List only the accounts of this domain."`
	Lacking hashArg   `field:"lacking" env:"ROOST_LIST_LACKING" placeholder:"MECHANISM" help:"List only accounts that have no keys for this mechanism, SCRAM-SHA-256 or SCRAM-SHA-1. Accounts of other servers may lack some, and one of them keeps the mechanism from its whole domain."`
	dataFlags
	remoteFlags
	jsonFlag
}

type jsonFlag struct {
	JSON bool `name:"json" help:"Write JSON instead of a table; a list has one object per line."`
}

// userFlags are for commands that change accounts.
type userFlags struct {
	remoteFlags
	auditFlag
}

// auditFlag is for commands that change the database themselves.
type auditFlag struct {
	Audit string `env:"ROOST_AUDIT" type:"path" placeholder:"FILE" help:"Append a line of JSON to this file for each change that this command makes itself; a running server writes its own audit log (default: none)."`
}

// keepSessionsFlag is for commands that change passwords.
type keepSessionsFlag struct {
	KeepSessions bool `field:"keep_sessions" env:"ROOST_KEEP_SESSIONS" help:"Keep clients connected that logged in with the old password, instead of making them log in again."`
}

// passwordFlags are for commands that need one password.
type passwordFlags struct {
	PasswordStdin bool `env:"ROOST_PASSWORD_STDIN" help:"Read the password from standard input (first line) instead of asking for it."`
	iterationFlags
}

// iterationFlags set the cost of guessing a password.
type iterationFlags struct {
	Iterations int `field:"iterations" default:"10000" env:"ROOST_ITERATIONS" placeholder:"N" help:"Iterations of the key derivation (SCRAM), 4096 to 10000000 (default: ${default}). More make it slower to guess passwords from a stolen database, but also make each login slower."`
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
	ask, err := c.source(os.Stdin)
	if err != nil {
		return err
	}
	return c.accounts(&c.dataFlags, c.openForNew, func(ctx context.Context, a accounts) error {
		if err := c.checkDomain(c.JID.JID); err != nil {
			return err
		}
		var missing errMissing
		if _, err := a.show(ctx, c.JID.JID); err == nil {
			return c.instead(errExists{c.JID.JID})
		} else if !errors.As(err, &missing) {
			return err
		}
		password, err := askPassword(ctx, ask)
		if err != nil {
			return err
		}
		body := api.AccountCreate{JID: c.JID.String(), Password: password, Iterations: c.Iterations, AnyDomain: c.AnyDomain}
		added, err := a.add(ctx, c.JID.JID, &body)
		return c.instead(c.said("added", added, err))
	})
}

// checkDomain refuses an account of a domain that the server of the data directory does
// not serve. One that is elsewhere does so itself.
func (c *userAddCmd) checkDomain(j jid.JID) error {
	if c.URL != "" {
		return nil
	}
	allowed, err := c.domainFilter()
	if err != nil {
		return err
	}
	if err := allowed(j.Domain()); err != nil {
		return fmt.Errorf("%v not added: %w; add --domain %s to roost serve, or use --any-domain", j, err, j.Domain())
	}
	return nil
}

// Run changes a password.
func (c *userPasswdCmd) Run() error {
	ask, err := c.source(os.Stdin)
	if err != nil {
		return err
	}
	return c.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error { return c.change(ctx, a, ask) })
}

// change asks for the password of an account that exists, and sets it unless anything else
// has happened to the account meanwhile, such as that it was deleted and created again.
func (c *userPasswdCmd) change(ctx context.Context, a accounts, ask passwordSource) error {
	d, err := a.show(ctx, c.JID.JID)
	if err != nil {
		return c.instead(err)
	}
	password, err := askPassword(ctx, ask)
	if err != nil {
		return err
	}
	body := api.AccountPassword{Password: password, Iterations: c.Iterations, KeepSessions: c.KeepSessions, Event: d.Event}
	changed, err := a.setPassword(ctx, c.JID.JID, &body)
	return c.instead(c.said("changed the password of", changed, err))
}

// Run locks an account.
func (c *userDisableCmd) Run() error {
	return c.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		changed, err := a.setDisabled(ctx, c.JID.JID, true)
		return c.said("disabled", changed, err)
	})
}

// Run unlocks an account.
func (c *userEnableCmd) Run() error {
	return c.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		changed, err := a.setDisabled(ctx, c.JID.JID, false)
		return c.said("enabled", changed, err)
	})
}

// Run deletes an account.
func (c *userDelCmd) Run() error {
	return c.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		if c.JID.IsZero() || c.DryRun {
			return c.bulk(ctx, a)
		}
		err := a.remove(ctx, c.JID.JID, c.rule())
		if err == nil {
			fmt.Printf("deleted %v\n", c.JID)
		}
		return err
	})
}

// said prints what was done to an account, unless there is an error, which it returns.
func (c *jsonFlag) said(done string, a api.Account, err error) error {
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(os.Stdout, a)
	}
	fmt.Println(done, a.JID)
	return nil
}

// Run ends the sessions of an account.
func (c *userLogoutCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		q := url.Values{}
		if c.Text != "" {
			q.Set("text", c.Text)
		}
		var out api.AccountLogout
		if err := client.Do(ctx, http.MethodPost, accountPath(api.PathAccountLogout, c.JID.JID), q, nil, &out); err != nil {
			return serverError(c.JID.JID, err)
		}
		return c.print(os.Stdout, out, func(w io.Writer) {
			fmt.Fprintf(w, "logged out %s: %s, %s revoked\n", printable(out.JID), count(int(out.Sessions), "session"), count(int(out.Tokens), "token"))
		})
	})
}

// Run shows an account.
func (c *userShowCmd) Run() error {
	u := userFlags{remoteFlags: c.remoteFlags}
	return u.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		d, err := a.show(ctx, c.JID.JID)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, d)
		}
		writeAccount(os.Stdout, &d)
		return nil
	})
}

func writeAccount(w io.Writer, d *api.AccountDetail) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("account", "%s", d.JID)
	line("created", "%s", d.Created.Format(time.RFC3339))
	line("may log in", "%s", map[bool]string{true: "no: it is disabled", false: "yes"}[d.Disabled])
	line("online", "%s", count(int(d.Sessions), "session"))
	if d.LastSeen != nil {
		line("last seen", "%s", d.LastSeen.Format(time.RFC3339))
	}
	line("waiting", "%s", count(int(d.OfflineMessages), "message"))
	for _, k := range d.Keys {
		line("keys", "%s, %s iterations", k.Mechanism, comma(k.Iterations))
	}
}

// hashArg is a SASL mechanism on the command line.
type hashArg struct{ *store.Hash }

// UnmarshalText parses the name of the mechanism.
func (a *hashArg) UnmarshalText(text []byte) error {
	h, err := store.ParseHash(string(text))
	a.Hash = &h
	return err
}

// accountList is which accounts to list.
type accountList struct {
	domain  string      // empty: all
	lacking *store.Hash // nil: all
	use     admin.UseRule
}

// Run lists accounts.
func (c *userListCmd) Run() error {
	u := userFlags{remoteFlags: c.remoteFlags}
	return u.accounts(&c.dataFlags, c.openExisting, func(ctx context.Context, a accounts) error {
		err := listAccounts(ctx, a, accountList{string(c.Domain), c.Lacking.Hash, c.rule()}, c.JSON, os.Stdout)
		if s, ok := a.(onStore); ok && err == nil {
			err = c.explainEmpty(ctx, s)
		}
		return err
	})
}

// listAccounts writes the addresses of accounts, sorted by domain, and which of
// them may not log in.
func listAccounts(ctx context.Context, a accounts, which accountList, asJSON bool, to io.Writer) error {
	w := bufio.NewWriter(to)
	e := jsonLines(w)
	err := a.each(ctx, which, func(a api.Account) error {
		if asJSON {
			return e.Encode(a)
		}
		w.WriteString(a.JID)
		if a.Disabled {
			w.WriteString("\tdisabled")
		}
		if !which.use.IsZero() {
			w.WriteString("\t" + usedText(a.Used))
		}
		return w.WriteByte('\n')
	})
	return errors.Join(err, w.Flush())
}

// errExists, errMissing and errChanged report that the account exists already, does not
// exist, or is not as it was. instead adds the command to use instead.
type (
	errExists  struct{ jid.JID }
	errMissing struct{ jid.JID }
	errChanged struct{ jid.JID }
)

func (e errExists) Error() string  { return e.JID.String() + " exists already" }
func (e errMissing) Error() string { return "there is no account " + e.JID.String() }
func (e errChanged) Error() string {
	return e.JID.String() + " has changed in the meantime; nothing was done: run the command again"
}

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
