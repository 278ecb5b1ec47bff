package session

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"roost/store"
)

// decoys generates credentials for accounts that do not exist, so that nobody can tell them
// from existing ones ([RFC 6120 section 13.10.2]). A name always gets the same credentials,
// even after a restart, and their shapes are distributed as among the existing accounts.
//
// [RFC 6120 section 13.10.2]: https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2
type decoys struct {
	m      *Manager
	first  sync.Once
	shares atomic.Pointer[[]share]
	next   atomic.Int64 // when to read the shares again, in Unix seconds
	hash   *keyedHash   // by the secret itself
}

// share is the number of accounts with credentials of a shape.
type share struct {
	shape    store.Shape
	text     string // the shape as text
	accounts int
}

// decoyRefresh is the interval at which the shares are read from the store, which examines
// thousands of accounts each time, and decoyRetry the interval after an error.
const (
	decoyRefresh = time.Hour
	decoyRetry   = time.Minute
)

// maxShares is the number of shares used: the largest ones.
const maxShares = 8

// load reads the shares from the store.
func (d *decoys) load() {
	d.next.Store(time.Now().Add(decoyRefresh).Unix())
	counts, err := d.m.config().Accounts.Shapes(context.Background())
	if err != nil {
		d.next.Store(time.Now().Add(decoyRetry).Unix())
		d.m.config().Logger.Error("cannot read the shapes of the accounts' credentials; names without an account keep the previous distribution", "err", err)
		return
	}
	shares := make([]share, 0, len(counts))
	for shape, accounts := range counts {
		if shape != (store.Shape{}) {
			shares = append(shares, share{shape, shape.String(), accounts})
		}
	}
	slices.SortFunc(shares, func(a, b share) int {
		return cmp.Or(b.accounts-a.accounts, strings.Compare(a.text, b.text))
	})
	shares = shares[:min(len(shares), maxShares)]
	d.shares.Store(&shares)
	// Another process may have added keys, which is no event.
	if err := d.m.ReadKeys(context.Background()); err != nil {
		d.m.config().Logger.Error("cannot read which keys accounts lack; what is offered does not change", "err", err)
	}
}

// credentials returns the credentials for a name. It may block on the store.
func (d *decoys) credentials(name string) store.Credentials {
	d.first.Do(d.load)
	if next := d.next.Load(); time.Now().Unix() >= next && d.next.CompareAndSwap(next, math.MaxInt64) {
		d.m.Go(Read, func(*Turn) { d.load() })
	}
	shape := d.shape(name)
	var c store.Credentials
	for h := range store.NumHashes {
		if shape.Iterations[h] == 0 {
			continue
		}
		text := name
		if !shape.SharedSalt && c.Hashes() != 0 {
			text = textOfMissing(name, &c, h)
		}
		salt := d.salt(text, shape.Salts[h])
		c[h] = store.Keys{Salt: salt, Iterations: shape.Iterations[h], StoredKey: fakeKey[:h.Size()], ServerKey: fakeKey[:h.Size()]}
	}
	return c
}

// fakeKey replaces keys that do not exist. No client can know a password that it belongs to.
var fakeKey [64]byte

// missing returns what takes the place of keys that credentials do not have: a salt that
// follows from what they have, and from the name, and the usual number of iterations. If the
// keys are added later, they get the same salt and number, so nobody sees that they were.
func (d *decoys) missing(name string, c *store.Credentials, h store.Hash) store.Keys {
	salt := d.salt(textOfMissing(name, c, h), 0)
	return store.Keys{Salt: salt, Iterations: d.m.config().Iterations, StoredKey: fakeKey[:h.Size()], ServerKey: fakeKey[:h.Size()]}
}

// textOfMissing returns what the salt of keys that credentials lack follows from.
func textOfMissing(name string, c *store.Credentials, h store.Hash) string {
	text := []byte(name + "\x00" + h.Mechanism())
	for i := range c {
		if store.Hash(i) != h {
			text = append(text, c[i].Salt...)
		}
	}
	return string(text)
}

// salt returns the salt of a form that follows from a text.
func (d *decoys) salt(text string, form store.SaltForm) []byte {
	return form.Make(func(i int) []byte {
		if i > 0 {
			text = "\x00" + text // no name begins with it
		}
		sum := d.hash.sum(text)
		return sum[:]
	})
}

// newShape is the shape of new credentials.
func newShape() (s store.Shape) {
	for h := range s.Iterations {
		s.Iterations[h] = store.DefaultIterations
	}
	return s
}

// shape draws a shape by the shares: each share draws a waiting time, shorter on average for
// larger shares, and the shortest one wins. When the shares change a little, few names get
// another shape.
func (d *decoys) shape(name string) store.Shape {
	shares := d.shares.Load()
	if shares == nil || len(*shares) == 0 {
		return newShape()
	}
	best, least := (*shares)[0].shape, math.Inf(1)
	if len(*shares) == 1 {
		return best
	}
	for _, s := range *shares {
		sum := d.hash.sum(name, "\x00", s.text)
		uniform := (float64(binary.BigEndian.Uint64(sum[:])>>11) + 0.5) / (1 << 53)
		if wait := -math.Log(uniform) / float64(s.accounts); wait < least {
			best, least = s.shape, wait
		}
	}
	return best
}
