package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"roost/jid"
	"roost/store"
)

// TokenClient is a client of an account that can log in by a token (FAST, [XEP-0484]).
//
// [XEP-0484]: https://xmpp.org/extensions/xep-0484.html
type TokenClient struct {
	ID        string // its user-agent id, in lower case
	Software  string // its own names for itself, "" if it has none
	Device    string
	Mechanism string    // that the token is valid for
	Issued    time.Time // of the newest token, as Expiry
	Expiry    time.Time
	Used      time.Time // the last login that changed a token: a day ago at most, if there was one since
}

// ListTokens returns the clients of an account that can log in by a token, in the order of
// their ids.
func ListTokens(ctx context.Context, blobs store.Blobs, a *store.Account) ([]TokenClient, error) {
	return listTokens(ctx, blobs, a, func(t *token) bool { return t.of(&a.Credentials) && time.Now().Unix() < t.Expiry })
}

// StoredTokens is ListTokens with those clients whose tokens are no longer valid, but stored.
func StoredTokens(ctx context.Context, blobs store.Blobs, a *store.Account) ([]TokenClient, error) {
	return listTokens(ctx, blobs, a, func(*token) bool { return true })
}

// listTokens returns the clients with a token that f accepts.
func listTokens(ctx context.Context, blobs store.Blobs, a *store.Account, f func(*token) bool) ([]TokenClient, error) {
	ids, err := blobs.BlobKeys(ctx, a.JID, tokenKind)
	if err != nil {
		return nil, err
	}
	var all []TokenClient
	for _, id := range ids {
		value, err := blobs.Blob(ctx, a.JID, tokenKind, id)
		if err != nil {
			return nil, err
		}
		record, err := parseTokens(value)
		if err != nil {
			return nil, err
		}
		valid := record.match(f)
		if valid == nil {
			continue
		}
		at := func(t int64) time.Time { return time.Unix(t, 0).UTC() }
		all = append(all, TokenClient{ID: id, Software: record.Software, Device: record.Device, Mechanism: valid.Mechanism,
			Issued: at(valid.Issued), Expiry: at(valid.Expiry), Used: at(record.Used)})
	}
	return all, nil
}

// RevokeTokens deletes the tokens of a client, or of all clients of the account if id is
// "", and returns the number of clients that had some. An account that does not exist has
// none.
func RevokeTokens(ctx context.Context, blobs store.Blobs, account jid.JID, id string) (n int, err error) {
	ids, err := blobs.BlobKeys(ctx, account, tokenKind)
	if err != nil || len(ids) == 0 || id != "" && !slices.Contains(ids, strings.ToLower(id)) {
		return 0, err // usually, without a transaction
	}
	set := store.BlobSet{Owner: account, Kind: tokenKind}
	err = blobs.UpdateBlobs(ctx, set, func(tx store.BlobTx) error {
		ids, err := tx.Keys()
		if err != nil {
			return err
		}
		for _, key := range ids {
			if id != "" && key != strings.ToLower(id) {
				continue
			}
			if err := tx.Delete(key); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// OfClient reports whether a resource of an account, by its bare JID, was bound by Bind 2 by the
// client with this user-agent id. Other resources do not show which client they belong to.
func (m *Manager) OfClient(account, id, resource string) bool {
	return ofClient(resource, m.clientID(account, id))
}

// ofClient reports whether clientResource made this resource with this id.
func ofClient(resource, id string) bool {
	return resource == id || strings.HasSuffix(resource, "/"+id)
}
