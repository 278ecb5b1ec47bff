package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"roost/admin"
	"roost/admin/api"
	"roost/jid"
)

type userDelCmd struct {
	JID accountArg `arg:"" optional:"" name:"jid" field:"jid" help:"Address of the account: user@domain."`
	bulkFlags
	dataFlags
	userFlags
}

// useFlags select accounts by their last use.
type useFlags struct {
	Unused    daysArg `field:"unused_days" env:"ROOST_UNUSED" placeholder:"DAYS" help:"Accounts that were used, but not in this time, such as 365d; at least 30d. A client that stays connected uses its account."`
	NeverUsed daysArg `field:"never_used_days" env:"ROOST_NEVER_USED" placeholder:"DAYS" help:"Accounts that were never used, as far as is known, and are older than this; at least 30d. With --unused, both kinds."`
}

func (f *useFlags) rule() admin.UseRule {
	return admin.UseRule{Unused: int(f.Unused), Never: int(f.NeverUsed)}
}

// bulkFlags are for deleting many accounts at once.
type bulkFlags struct {
	useFlags
	Domain domainArg `field:"domain" env:"ROOST_LIST_DOMAIN" placeholder:"NAME" help:"Only accounts of this domain."`
	File   string    `env:"-" placeholder:"FILE" help:"Delete the accounts whose addresses are in this file, one on a line, with comments after #; - for standard input."`
	DryRun bool      `env:"ROOST_DRY_RUN" help:"Only list the accounts that would be deleted, even if a single one is named."`
	Yes    bool      `env:"-" help:"Do not ask before many accounts are deleted."`
	Rate   int       `env:"ROOST_DELETE_RATE" default:"50" placeholder:"N" help:"Accounts a second, at most (default: ${default})."`
}

// Help is shown by kong.
func (c *userDelCmd) Help() string {
	return "Instead of one address, --file or --unused and --never-used select many accounts; with --unused, --never-used or --domain, those in --file are deleted only if they are selected by these, too. " +
		"The command asks before it begins, at a limited rate, and shows its progress. If it is interrupted, run it again. With --unused or --never-used, an account that is used in the meantime is kept; with --file alone, all accounts in the file are deleted, used or not."
}

// Validate is called by kong.
func (c *userDelCmd) Validate() error {
	many := c.File != "" || !c.rule().IsZero()
	switch {
	case c.JID.IsZero() && !many:
		return errors.New("name an account, or use --file, --unused or --never-used")
	case !c.JID.IsZero() && c.File != "":
		return errors.New("name one account, or use --file")
	case !c.JID.IsZero() && c.Domain != "" && string(c.Domain) != c.JID.Domain():
		return fmt.Errorf("%v is not of the domain %s of --domain", c.JID, c.Domain)
	case c.Rate < 1 || c.Rate > 100000:
		return errors.New("--rate must be 1 to 100000")
	}
	return nil
}

// daysArg is a number of days on the command line, 0 if it is not given.
type daysArg int

// UnmarshalText parses days such as 365d, or a time such as 8760h.
func (d *daysArg) UnmarshalText(text []byte) error {
	s := string(text)
	days, err := strconv.Atoi(strings.TrimSuffix(s, "d"))
	if err != nil || !strings.HasSuffix(s, "d") {
		var t time.Duration
		if t, err = time.ParseDuration(s); err != nil {
			return fmt.Errorf("%q is not a time such as 365d", s)
		}
		days = int(t / (24 * time.Hour))
	}
	if days < admin.MinUnusedDays || days > 36500 {
		return fmt.Errorf("%q must be %dd to 36500d", s, admin.MinUnusedDays)
	}
	*d = daysArg(days)
	return nil
}

// usedText is when an account was used last, to the day.
func usedText(used *time.Time) string {
	if used == nil {
		return "never used"
	}
	return "used " + used.Format(time.DateOnly)
}

// bulk deletes the accounts that the flags select.
func (c *userDelCmd) bulk(ctx context.Context, a accounts) error {
	all, err := c.selected(ctx, a)
	if err != nil {
		return err
	}
	if c.DryRun || len(all) == 0 {
		w := bufio.NewWriter(os.Stdout)
		for _, j := range all {
			fmt.Fprintln(w, j)
		}
		fmt.Fprintf(os.Stderr, "%s would be deleted\n", count(len(all), "account"))
		return w.Flush()
	}
	if err := c.confirm(ctx, len(all)); err != nil {
		return err
	}
	return c.removeAll(ctx, a, all)
}

// selected are the accounts to be deleted: the one that is named, those in a file, or those
// that are not used; of the first two kinds, only those that all other flags select.
func (c *userDelCmd) selected(ctx context.Context, a accounts) (all []jid.JID, err error) {
	switch {
	case !c.JID.IsZero():
		if _, err := a.show(ctx, c.JID.JID); err != nil {
			return nil, err
		}
		all = []jid.JID{c.JID.JID}
	case c.File == "":
		return c.unused(ctx, a, string(c.Domain))
	default:
		if all, err = c.inFile(ctx); err != nil {
			return nil, err
		}
	}
	named := len(all)
	if c.Domain != "" {
		all = slices.DeleteFunc(all, func(j jid.JID) bool { return j.Domain() != string(c.Domain) })
	}
	if !c.rule().IsZero() && len(all) > 0 {
		domain := string(c.Domain)
		if !c.JID.IsZero() {
			domain = c.JID.Domain()
		}
		unused, err := c.unused(ctx, a, domain)
		if err != nil {
			return nil, err
		}
		is := make(map[jid.JID]bool, len(unused))
		for _, j := range unused {
			is[j] = true
		}
		all = slices.DeleteFunc(all, func(j jid.JID) bool { return !is[j] })
	}
	if n := named - len(all); n > 0 {
		fmt.Fprintf(os.Stderr, "%s not selected by the other flags\n", count(n, "account"))
	}
	return all, nil
}

// unused are the accounts of a domain, or of all, that the rule selects.
func (c *userDelCmd) unused(ctx context.Context, a accounts, domain string) (all []jid.JID, err error) {
	err = a.each(ctx, accountList{domain: domain, use: c.rule()}, func(account api.Account) error {
		j, err := jid.Parse(account.JID)
		all = append(all, j)
		return err
	})
	return all, err
}

// inFile are the accounts in the file.
func (c *userDelCmd) inFile(ctx context.Context) (all []jid.JID, err error) {
	in := os.Stdin
	if c.File != "-" {
		if in, err = os.Open(c.File); err != nil {
			return nil, err
		}
		defer in.Close()
	}
	file, done, err := readUntil(ctx, in)
	if err != nil {
		return nil, err
	}
	defer done()
	return readAddresses(file, c.File)
}

// readAddresses reads a file of addresses of accounts. If anything is wrong, it returns an error
// with the line.
func readAddresses(r io.Reader, name string) (all []jid.JID, err error) {
	lines := bufio.NewScanner(r)
	had := make(map[jid.JID]bool)
	n := 0
	for lines.Scan() {
		n++
		text := addressOn(lines.Text())
		if text == "" {
			continue
		}
		j, err := parseAccount(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w; nothing was deleted", name, n, err)
		}
		if !had[j] {
			had[j] = true
			all = append(all, j)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w; nothing was deleted", name, n+1, err)
	}
	return all, nil
}

// addressOn returns the address on a line. A comment is what follows # at the beginning or after a
// space, because a name may have a # in it, and what follows a tab, as in lines of roost user list.
func addressOn(line string) string {
	line, _, _ = strings.Cut(strings.TrimSpace(line), "\t")
	line, _, _ = strings.Cut(" "+line, " #")
	return strings.TrimSpace(line)
}

// confirm asks whether so many accounts are to be deleted.
func (c *userDelCmd) confirm(ctx context.Context, n int) error {
	if c.Yes {
		return nil
	}
	if c.File == "-" || !term.IsTerminal(int(os.Stdin.Fd())) {
		return fmt.Errorf("%s would be deleted, which cannot be undone: look at them with --dry-run, and add --yes", count(n, "account"))
	}
	fmt.Fprintf(os.Stderr, "Delete %s with all data? This cannot be undone. Write yes: ", count(n, "account"))
	in, done, err := readUntil(ctx, os.Stdin)
	if err != nil {
		return err
	}
	defer done()
	answer, err := bufio.NewReader(in).ReadString('\n')
	if ctx.Err() != nil {
		return errInterrupted
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.Join(errors.New("nothing was deleted"), err)
	}
	return nil
}

// removeAll deletes accounts, at a limited rate, and says how many.
func (c *userDelCmd) removeAll(ctx context.Context, a accounts, all []jid.JID) error {
	var p *progress
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p = newProgress(os.Stderr, "deleting", "accounts", len(all))
	}
	tick := time.NewTicker(time.Second / time.Duration(c.Rate))
	defer tick.Stop()
	deleted, missing, kept := 0, 0, 0
	var err error
	for _, j := range all {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if err = ctx.Err(); err != nil {
			break
		}
		err = a.remove(ctx, j, c.rule())
		switch {
		case err == nil:
			deleted++
		case errors.As(err, new(errMissing)):
			missing++
		case errors.As(err, new(errChanged)):
			kept++
		}
		if err != nil && !errors.As(err, new(errMissing)) && !errors.As(err, new(errChanged)) {
			break
		}
		err = nil
		p.add(1)
	}
	p.clear()
	fmt.Printf("deleted %s", count(deleted, "account"))
	if missing > 0 {
		fmt.Printf(", %s did not exist", count(missing, "account"))
	}
	if kept > 0 {
		fmt.Printf(", kept %s in use", count(kept, "account"))
	}
	fmt.Println()
	if err != nil {
		return fmt.Errorf("%w; run the command again to delete the others", err)
	}
	return nil
}
