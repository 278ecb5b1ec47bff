package store

import (
	"context"

	"roost/jid"
)

// accountPage is the number of accounts that are read at a time.
const accountPage = 1000

// EachAccount calls f for each account of a domain, or of all domains if domain is empty,
// in the order of ListAccounts. If f returns an error, EachAccount stops and returns it.
func EachAccount(ctx context.Context, s Accounts, domain string, f func(Account) error) error {
	return eachOfPages(func(after jid.JID) ([]Account, error) { return s.ListAccounts(ctx, domain, after, accountPage) }, f)
}

// EachLacking is EachAccount for the accounts that have no keys for a hash function.
func EachLacking(ctx context.Context, s Accounts, h Hash, domain string, f func(Account) error) error {
	return eachOfPages(func(after jid.JID) ([]Account, error) { return s.ListLacking(ctx, h, domain, after, accountPage) }, f)
}

func eachOfPages(read func(after jid.JID) ([]Account, error), f func(Account) error) error {
	var after jid.JID
	for {
		page, err := read(after)
		if err != nil {
			return err
		}
		for _, a := range page {
			if err := f(a); err != nil {
				return err
			}
			after = a.JID
		}
		if len(page) < accountPage {
			return nil
		}
	}
}
