package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"roost/store"
)

// decoys generates credentials for accounts that do not exist, so that nobody can tell them
// from existing ones ([RFC 6120 section 13.10.2]). A name always gets the same credentials,
// even after a restart, and the numbers of iterations are distributed as among the existing
// accounts.
//
// [RFC 6120 section 13.10.2]: https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2
type decoys struct {
	m      *Manager
	first  sync.Once
	shares atomic.Pointer[[]share]
	next   atomic.Int64 // when to read the shares again, in Unix seconds
}

// share is the number of accounts with a number of iterations.
type share struct {
	iterations, accounts int
}

// decoyRefresh is the interval at which the shares are read from the store, which examines
// thousands of accounts each time.
const decoyRefresh = time.Hour

// maxShares is the number of shares used: the largest ones.
const maxShares = 8

// load reads the shares from the store.
func (d *decoys) load() {
	d.next.Store(time.Now().Add(decoyRefresh).Unix())
	counts, err := d.m.config().Accounts.Iterations(context.Background())
	if err != nil {
		d.m.config().Logger.Error("cannot read the accounts' numbers of iterations; names without an account keep the previous distribution", "err", err)
		return
	}
	shares := make([]share, 0, len(counts))
	for iterations, accounts := range counts {
		shares = append(shares, share{iterations, accounts})
	}
	slices.SortFunc(shares, func(a, b share) int {
		if a.accounts != b.accounts {
			return b.accounts - a.accounts
		}
		return a.iterations - b.iterations
	})
	shares = shares[:min(len(shares), maxShares)]
	d.shares.Store(&shares)
}

// credentials returns the credentials for a name. It may block on the store.
func (d *decoys) credentials(name string) store.Credentials {
	d.first.Do(d.load)
	if next := d.next.Load(); time.Now().Unix() >= next && d.next.CompareAndSwap(next, math.MaxInt64) {
		d.m.Go(Read, func(*Turn) { d.load() })
	}
	salt := d.hash(name)
	return store.Credentials{Salt: salt[:16], Iterations: d.iterations(name)}
}

// iterations draws a number of iterations by the shares: each share draws a waiting time,
// shorter on average for larger shares, and the shortest one wins. When the shares change a
// little, few names get another number.
func (d *decoys) iterations(name string) int {
	shares := d.shares.Load()
	if shares == nil || len(*shares) == 0 {
		return store.DefaultIterations
	}
	best, least := (*shares)[0].iterations, math.Inf(1)
	if len(*shares) == 1 {
		return best
	}
	for _, s := range *shares {
		sum := d.hash(name + "\x00" + strconv.Itoa(s.iterations))
		uniform := (float64(binary.BigEndian.Uint64(sum[:])>>11) + 0.5) / (1 << 53)
		if wait := -math.Log(uniform) / float64(s.accounts); wait < least {
			best, least = s.iterations, wait
		}
	}
	return best
}

func (d *decoys) hash(text string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, d.m.config().Secret)
	h.Write([]byte(text))
	h.Sum(sum[:0])
	return sum
}
