package session

import (
	"context"
	"errors"
	"sync"

	"roost/jid"
	"roost/store"
)

// missingKeys knows for which hash functions of SCRAM accounts lack keys, by domain. A client
// chooses the mechanism before it has named its account, so what is offered is the same for
// all accounts of a domain: the mechanisms that all of them can use
// (docs/decisions/0052-keys-per-hash.md).
type missingKeys struct {
	m  *Manager
	mu sync.Mutex // held while the store is read, so that the last one to read is the last one to store
	by sync.Map   // domain to store.HashSet
}

// of returns the hash functions that accounts of a domain lack keys for.
func (k *missingKeys) of(domain string) store.HashSet {
	set, _ := k.by.Load(domain)
	missing, _ := set.(store.HashSet)
	return missing
}

// read reads them from the store, on a goroutine that may wait for it.
func (k *missingKeys) read(ctx context.Context, domains ...string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, domain := range domains {
		missing, err := k.m.config().Accounts.MissingKeys(ctx, domain)
		if err != nil {
			return err
		}
		was := k.of(domain)
		if missing == was {
			continue
		}
		k.by.Store(domain, missing)
		log := k.m.config().Logger.With("domain", domain)
		for h := range store.NumHashes {
			switch {
			case missing.Has(h) && !was.Has(h):
				log.Info("some accounts have no keys for a mechanism; it is not offered to any account of the domain", "mechanism", h.Mechanism())
			case was.Has(h) && !missing.Has(h):
				log.Info("all accounts have keys for a mechanism; it is offered", "mechanism", h.Mechanism())
			}
		}
	}
	return nil
}

// ReadKeys reads which keys the accounts of all domains lack. It must be called before the
// first client connects, and after a change of the domains. It waits for the store.
func (m *Manager) ReadKeys(ctx context.Context) error {
	return m.missing.read(ctx, m.config().Domains...)
}

// KeysChanged tells that keys of accounts in these domains have changed. Only workers may
// call it.
func (m *Manager) KeysChanged(ctx context.Context, domains []string) error {
	return m.missing.read(ctx, domains...)
}

// offeredHashes returns the hash functions whose mechanisms are offered on this stream: those
// that all accounts have keys for. If there are none, because some accounts lack one and
// others another, all are offered: clients may try them one after another.
func (n *negotiation) offeredHashes() store.HashSet {
	if n.missing == store.AllHashes {
		return store.AllHashes
	}
	return store.AllHashes &^ n.missing
}

// derive derives the keys that the account lacks from its password, which is right. It takes
// milliseconds of CPU time, once for each account.
func (l *lookup) derive(password string) {
	for h := range store.NumHashes {
		if !l.keys.Hashes().Has(h) {
			k := l.s.mgr.decoys.missing(l.name, &l.keys, h)
			l.added[h], _ = store.DeriveKeys(h, password, k.Salt, k.Iterations) // without an error: others have been derived from it
		}
	}
}

// addKeys stores keys that an account lacks, before it returns. was is the account's newest
// event when its credentials were read.
func (m *Manager) addKeys(account jid.JID, was int64, added store.Credentials) error {
	ctx := context.Background() // a login does not end because its client has gone
	if err := m.config().Accounts.AddKeys(ctx, account, was, added); err != nil {
		return err
	}
	if err := m.missing.read(ctx, account.Domain()); err != nil {
		m.config().Logger.Error("cannot read which keys accounts lack; what is offered does not change", "domain", account.Domain(), "err", err)
	}
	return nil
}

// addKeysLater stores keys that the server has derived itself. Nothing waits for it: if it
// fails, the next login of this kind does it again.
func (m *Manager) addKeysLater(l *lookup) {
	if l.added.Hashes() == 0 {
		return
	}
	account, was, added := l.who, l.event, l.added
	m.Go(Write, func(*Turn) {
		err := m.addKeys(account, was, added)
		if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			m.loginLog.fault("cannot add keys to an account; it goes on without", account.String(), err)
		}
	})
}
