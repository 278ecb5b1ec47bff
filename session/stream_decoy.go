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

// decoys makes up credentials for accounts that do not exist, such that nobody
// can tell them from those that do (RFC 6120 section 13.10.2): a name always has
// the same, after a restart too, and as large a part of the names has a number of
// iterations as of the accounts.
type decoys struct {
	m      *Manager
	first  sync.Once
	shares atomic.Pointer[[]share]
	next   atomic.Int64 // when the store is asked again, Unix seconds
}

// share is how many accounts have a number of iterations.
type share struct {
	iterations, accounts int
}

// decoyRefresh is how often the store is asked for the shares, which takes it a
// look at thousands of accounts.
const decoyRefresh = time.Hour

// maxShares is the number of shares that are taken into account, the largest.
const maxShares = 8

// load asks the store for the shares.
func (d *decoys) load() {
	d.next.Store(time.Now().Add(decoyRefresh).Unix())
	counts, err := d.m.cfg.Accounts.Iterations(context.Background())
	if err != nil {
		d.m.cfg.Logger.Error("iterations of accounts could not be read", "err", err)
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

// credentials are those of a name. It may wait for the store.
func (d *decoys) credentials(name string) store.Credentials {
	d.first.Do(d.load)
	if next := d.next.Load(); time.Now().Unix() >= next && d.next.CompareAndSwap(next, math.MaxInt64) {
		d.m.Go(Read, func(*Turn) { d.load() })
	}
	salt := d.hash(name)
	return store.Credentials{Salt: salt[:16], Iterations: d.iterations(name)}
}

// iterations draws a number by the shares: each draws a waiting time that is the
// shorter the larger its share, and the first one wins. When the shares change a
// little, few names change theirs.
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
	h := hmac.New(sha256.New, d.m.cfg.Secret)
	h.Write([]byte(text))
	h.Sum(sum[:0])
	return sum
}
