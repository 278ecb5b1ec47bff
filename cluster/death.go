package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"roost/router"
)

// A node is dead when its lease is over and a survivor has claimed the cleanup: from then on
// it cannot renew the lease. The claim is a lease, too, and another node takes over if the
// first dies while it cleans up. The cleanup does, in this order:
//
//  1. It closes the stream of the dead node, so that the others learn at once what was not
//     delivered.
//  2. It removes the entries in the directory that still have the epoch of the dead node, and
//     calls Died for each.
//  3. It passes what is left in the stream to Undelivered.
//
// Each step removes its traces after the handler was called: if a cleaner dies, the next one
// repeats at most the last page.

const (
	cleanPage  = 64 // buckets of the index, or entries of the stream, that are read at once
	announcers = 4  // calls of Died at once

	// diedTogether is how many resources Died gets at once, which limits the rosters in memory.
	diedTogether = 16
)

// cleaning is a cleanup that is under way.
type cleaning struct {
	epoch uint64
	taken bool          // from another node that has died
	since time.Duration // when the claim was renewed
}

var errClaimLost = errors.New("another node has taken over the cleanup")

// cleanDead begins the cleanup of a dead node, unless one is under way.
func (n *Node) cleanDead() {
	dead := n.members.Load().dead
	if n.cleaning.Load() != nil {
		return
	}
	for _, epoch := range dead {
		r, err := n.nodes(n.ctx, "claim", n.epoch.Load(), epoch)
		if n.engine.failed(err) {
			return
		}
		if r.status == "no" {
			continue
		}
		c := &cleaning{epoch: epoch, taken: r.status != "first", since: n.now()}
		n.cleaning.Store(c)
		n.tasks.Go(func() {
			err := n.clean(n.ctx, c)
			n.cleaning.Store(nil)
			if err == nil {
				n.hurry() // there may be another
			} else if n.ctx.Err() == nil {
				n.log.Warn("the cleanup of a dead node has not ended", "err", err)
			}
		})
		return
	}
}

// claimed renews the claim, and returns an error if another node has it.
func (n *Node) claimed(ctx context.Context, c *cleaning) error {
	begin := n.now()
	r, err := n.nodes(ctx, "claim", n.epoch.Load(), c.epoch)
	if n.engine.failed(err) {
		return err
	}
	if r.status != "again" {
		return errClaimLost
	}
	c.since = begin
	return nil
}

// check returns an error if another node may have taken over the cleanup.
func (n *Node) check(c *cleaning) error {
	if n.now()-c.since > n.config.Lease {
		return errClaimLost
	}
	return nil
}

// clean removes everything of a dead node.
func (n *Node) clean(ctx context.Context, c *cleaning) error {
	n.log.Info("cleaning up after a dead node", "number", c.epoch)
	begin, before := n.now(), n.stats.cleaned.Load()
	if err := n.engine.do(ctx, closeScript, streamKeys(c.epoch), nil).Error(); n.engine.failed(err) {
		return err
	}
	if err := n.cleanDirectory(ctx, c); err != nil {
		return err
	}
	if err := n.cleanStream(ctx, c); err != nil {
		return err
	}
	if _, err := n.nodes(ctx, "finish", n.epoch.Load(), c.epoch); n.engine.failed(err) {
		return err
	}
	n.stats.cleanedNodes.Add(1)
	n.log.Info("cleaned up after a dead node", "number", c.epoch, "sessions", n.stats.cleaned.Load()-before, "took", n.now()-begin)
	return nil
}

// cleanDirectory removes the entries, in pages of buckets of the index.
func (n *Node) cleanDirectory(ctx context.Context, c *cleaning) error {
	client, field := n.engine.client, strconv.FormatUint(c.epoch, 10)
	levels, err := client.Do(ctx, client.B().Hget().Key(levelsKey).Field(field).Build()).AsInt64()
	if n.engine.failed(err) {
		return err
	}
	err = eachPage(c.epoch, int(min(levels, maxLevel-1)), func(keys []string) error {
		if err := n.claimed(ctx, c); err != nil {
			return err
		}
		return n.cleanBuckets(ctx, c, keys)
	})
	if err != nil {
		return err
	}
	return client.Do(ctx, client.B().Hdel().Key(levelsKey).Field(field).Build()).Error()
}

// cleanBuckets removes the entries of some buckets, and then these.
func (n *Node) cleanBuckets(ctx context.Context, c *cleaning, keys []string) error {
	fields, err := n.readBuckets(ctx, keys)
	if err != nil || len(fields) == 0 {
		return err
	}
	if err := n.removeEntries(ctx, c, fields); err != nil {
		return err
	}
	client := n.engine.client
	return n.all(ctx, len(keys), func(i int) rueidis.Completed { return client.B().Unlink().Key(keys[i]).Build() }, nil)
}

// readBuckets returns all fields of buckets.
func (n *Node) readBuckets(ctx context.Context, keys []string) (fields []string, err error) {
	client := n.engine.client
	err = n.all(ctx, len(keys), func(i int) rueidis.Completed { return client.B().Hkeys().Key(keys[i]).Build() },
		func(_ int, r rueidis.RedisResult) error {
			some, err := r.AsStrSlice()
			fields = append(fields, some...)
			return err
		})
	return fields, err
}

// removeEntries removes entries of the directory that have the epoch of the dead node, in
// parts, and calls the handler for them.
func (n *Node) removeEntries(ctx context.Context, c *cleaning, fields []string) error {
	client, epoch := n.engine.client, epochBytes(c.epoch)
	for len(fields) > 0 {
		part := fields[:min(len(fields), writeBatch)]
		fields = fields[len(part):]
		if err := n.claimed(ctx, c); err != nil {
			return err
		}
		var died []router.Death
		err := n.all(ctx, len(part), func(i int) rueidis.Completed {
			account, resource, _ := strings.Cut(part[i], "/")
			return unregisterScript.call(client, []string{accountKey(account)}, []string{epoch, resource})
		}, func(i int, r rueidis.RedisResult) error {
			account, resource, _ := strings.Cut(part[i], "/")
			text, err := r.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return err
			}
			place, _, ok := entry(resource, text)
			if !ok {
				// It is on another node now, or was removed: by its own node, or by a cleaner
				// that has died and may not have told anyone.
				if !c.taken {
					return nil
				}
				elsewhere, err := client.Do(ctx, client.B().Hexists().Key(accountKey(account)).Field(resource).Build()).AsBool()
				if err != nil || elsewhere {
					return err
				}
				place = router.Place{Resource: resource, Node: router.NodeID(c.epoch), Available: true}
			}
			died = append(died, router.Death{Account: account, Place: place})
			return nil
		})
		if err == nil {
			err = n.announceDeaths(c, died)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// announceDeaths calls the handler for resources of a dead node, for parts of them at once:
// contacts should not wait longer than necessary, and the handler waits for the store.
func (n *Node) announceDeaths(c *cleaning, all []router.Death) error {
	parts := make([][]router.Death, announcers)
	for _, d := range all {
		i := hash32(d.Account) % announcers
		parts[i] = append(parts[i], d)
	}
	var tasks sync.WaitGroup
	errs := make([]error, announcers)
	for i, part := range parts {
		if len(part) == 0 {
			continue
		}
		tasks.Go(func() {
			for some := range slices.Chunk(part, diedTogether) {
				if errs[i] = n.check(c); errs[i] != nil {
					return
				}
				n.handler.Died(router.NodeID(c.epoch), some)
				n.stats.cleaned.Add(uint64(len(some)))
			}
		})
	}
	tasks.Wait()
	return cmp.Or(errs...)
}

// all executes k commands in one pipeline, and passes the replies to done, in order.
func (n *Node) all(ctx context.Context, k int, command func(i int) rueidis.Completed, done func(i int, r rueidis.RedisResult) error) error {
	for again := true; ; again = false {
		cmds := make([]rueidis.Completed, k)
		for i := range cmds {
			cmds[i] = command(i)
		}
		short, cancel := context.WithTimeout(ctx, n.engine.timeout)
		replies := n.engine.client.DoMulti(short, cmds...)
		cancel()
		if noScript(replies[0].Error()) && again {
			if err := n.engine.load(ctx); n.engine.failed(err) {
				return err
			}
			continue
		}
		for i, r := range replies {
			if err := r.Error(); n.engine.failed(err) {
				return err
			}
			if done == nil {
				continue
			}
			if err := done(i, r); err != nil {
				return err
			}
		}
		return nil
	}
}

// cleanStream returns what a dead node has not handled.
func (n *Node) cleanStream(ctx context.Context, c *cleaning) error {
	client, keys := n.engine.client, streamKeys(c.epoch)
	for {
		if err := n.claimed(ctx, c); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, n.engine.timeout)
		page, err := client.Do(short, client.B().Xrange().Key(keys[0]).Start("-").End("+").Count(cleanPage).Build()).ToArray()
		cancel()
		if n.engine.failed(err) {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		var last string
		for _, message := range page {
			id, data, _ := streamEntry(message)
			last = id
			if err := n.check(c); err != nil {
				return err
			}
			if _, _, _, items, err := splitBatch(data); err == nil {
				n.returnStream(c.epoch, items)
			}
		}
		if err := client.Do(ctx, client.B().Xtrim().Key(keys[0]).Minid().Threshold(nextID(last)).Build()).Error(); n.engine.failed(err) {
			return err
		}
	}
}

// returnStream returns the items of a batch from a stream.
func (n *Node) returnStream(epoch uint64, items string) {
	err := eachItem(items, func(account, item string) {
		n.stats.undelivered.Add(1)
		n.handler.Undelivered(router.NodeID(epoch), account, []byte(item), true)
	})
	if err != nil {
		n.log.Error("an entry in the stream of a dead node is damaged", "err", err)
		n.stats.errors.Add(1)
	}
}
