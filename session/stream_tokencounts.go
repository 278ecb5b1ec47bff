package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"roost/jid"
	"roost/store"
)

// countDelay is how long after the use of a token its count is stored, if nothing else of
// the token changes. Counts that are not stored are forgotten where the process is killed.
const countDelay = 10 * time.Second

// maxUnsavedCounts is how many counts may wait to be stored. A login beyond stores its count
// itself. Half as many are stored without a delay.
const maxUnsavedCounts = 1 << 14

// countWriters is how many counts are written at once. Each store commits together what is
// written at once.
const countWriters = 64

// nonceSize is the size of token.Nonce in bytes.
const nonceSize = 16

// tokenCounts has the counts of the tokens that were used lately. They are stored later, many
// at once, so that a login by token does not wait for a commit. As long as the process lives,
// no count is accepted twice: it is stored before it is removed from here.
type tokenCounts struct {
	m        *Manager
	removals atomic.Uint64 // changes under mu; a login reads it before the stored count

	mu      sync.Mutex
	unsaved map[[nonceSize]byte]*tokenUse // by nonce
	timer   *time.Timer                   // saves them; nil: none is waiting
	saving  bool
	closed  bool
	failing bool // the last write has failed, which was logged
}

// tokenUse is the last use of a token.
type tokenUse struct {
	account jid.JID // bare
	agent   string
	count   uint64
	holds   int // logins that are storing the count of this token
}

// processed reports whether a token was used with this count or a larger one, as far as is
// known here.
func (c *tokenCounts) processed(nonce []byte, count uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.unsaved[[nonceSize]byte(nonce)]
	return u != nil && count <= u.count
}

// remember records that a token is used with a count, which is larger than the stored one.
// seen is the value of removals before that one was read. It returns errReplayed if the count
// was used before, and errStoreCount if hold has to be used instead: the stored count may be
// larger by now, or too many wait to be stored.
func (c *tokenCounts) remember(account jid.JID, agent string, nonce []byte, count, seen uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.unsaved[[nonceSize]byte(nonce)]
	switch {
	case u != nil && count <= u.count:
		return errReplayed
	case c.removals.Load() != seen || c.closed:
		return errStoreCount
	case u != nil:
		u.count = count
		return nil
	case len(c.unsaved) >= maxUnsavedCounts:
		return errStoreCount
	}
	c.add(account, agent, nonce, count)
	c.schedule()
	return nil
}

// errStoreCount means that a login has to store its count itself.
var errStoreCount = errors.New("session: the count of a token has to be stored at once")

// add adds a token. Under mu.
func (c *tokenCounts) add(account jid.JID, agent string, nonce []byte, count uint64) *tokenUse {
	if c.unsaved == nil {
		c.unsaved = make(map[[nonceSize]byte]*tokenUse)
	}
	u := &tokenUse{account: account, agent: agent, count: count}
	c.unsaved[[nonceSize]byte(nonce)] = u
	return u
}

// hold records that a token is used with a count which the caller stores, and must report
// with release. It returns errReplayed if the count was used before.
func (c *tokenCounts) hold(account jid.JID, agent string, nonce []byte, count uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.unsaved[[nonceSize]byte(nonce)]
	switch {
	case u == nil:
		u = c.add(account, agent, nonce, count)
	case count <= u.count:
		return errReplayed
	}
	u.count = count
	u.holds++
	return nil
}

// release ends hold. If the count was not stored it is kept here, and stored later.
func (c *tokenCounts) release(nonce []byte, count uint64, stored bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.unsaved[[nonceSize]byte(nonce)]
	u.holds--
	if stored {
		c.saved(nonce, count)
	}
	c.schedule()
}

// saved removes a token whose count was stored, unless it was used again. Under mu.
func (c *tokenCounts) saved(nonce []byte, count uint64) {
	if u := c.unsaved[[nonceSize]byte(nonce)]; u != nil && u.holds == 0 && u.count == count {
		delete(c.unsaved, [nonceSize]byte(nonce))
		c.removals.Add(1)
	}
}

// schedule makes sure that what is here is stored. Under mu.
func (c *tokenCounts) schedule() {
	many := len(c.unsaved) >= maxUnsavedCounts/2 && !c.failing
	switch {
	case c.closed || c.saving || len(c.unsaved) == 0:
	case c.timer == nil && many:
		c.timer = time.AfterFunc(0, c.due)
	case c.timer == nil:
		c.timer = time.AfterFunc(countDelay, c.due)
	case many && len(c.unsaved) == maxUnsavedCounts/2: // once: it stays above while it is saved
		c.timer.Reset(0)
	}
}

// due begins to store what is here.
func (c *tokenCounts) due() {
	c.m.Go(Write, func(*Turn) { c.save() })
}

// save stores what is here.
func (c *tokenCounts) save() {
	c.mu.Lock()
	if c.saving {
		c.mu.Unlock()
		return
	}
	c.saving = true
	type use struct {
		nonce [nonceSize]byte
		tokenUse
	}
	all := make([]use, 0, len(c.unsaved))
	for nonce, u := range c.unsaved {
		if u.holds == 0 { // the others are being stored
			all = append(all, use{nonce, *u})
		}
	}
	c.mu.Unlock()

	var next atomic.Int64
	var failed atomic.Pointer[error]
	var writers sync.WaitGroup
	for range min(countWriters, len(all)) {
		writers.Go(func() {
			defer c.m.recovered()
			for i := next.Add(1) - 1; i < int64(len(all)) && failed.Load() == nil; i = next.Add(1) - 1 {
				u := &all[i]
				if err := c.m.storeCount(u.account, u.agent, u.nonce[:], u.count); err != nil {
					failed.Store(&err)
					return
				}
				c.mu.Lock()
				c.saved(u.nonce[:], u.count)
				c.mu.Unlock()
			}
		})
	}
	writers.Wait()

	err := failed.Load()
	if err != nil && !c.failing { // only the goroutine that saves changes failing
		c.m.config().Logger.Warn("cannot store the counts of tokens; the server tries again", "err", *err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing, c.saving, c.timer = err != nil, false, nil
	if len(c.unsaved) == 0 {
		c.unsaved = nil // the memory of a table that was large
	}
	c.schedule()
}

// storeCount raises the stored count of a token, unless the token or its account has ended.
func (m *Manager) storeCount(account jid.JID, agent string, nonce []byte, count uint64) error {
	set := store.BlobSet{Owner: account, Kind: tokenKind}
	change := &tokenChange{agent: agent, used: &token{Nonce: nonce}, fast: &fastRequest{counted: true, count: count}}
	err := m.config().Tokens.UpdateBlobs(tokenContext(), set, change.apply)
	if errors.Is(err, errReplayed) || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// close stores what is here. Logins that follow store their counts themselves.
func (c *tokenCounts) close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if c.m.config().Tokens != nil {
		c.save()
	}
}
