package cluster

import (
	"context"
	"slices"

	"github.com/redis/rueidis"

	"roost/router"
)

// lookupBatch is how many accounts one pipeline reads.
const lookupBatch = 1000

// Cached implements router.Nodes.
func (n *Node) Cached(account string) ([]router.Place, bool) {
	places, ok := n.cache.get(account)
	if ok {
		n.stats.hits.Add(1)
	}
	return places, ok
}

// Places implements router.Nodes.
func (n *Node) Places(ctx context.Context, accounts []string) ([][]router.Place, error) {
	all := make([][]router.Place, len(accounts))
	missing := make([]int, 0, len(accounts))
	for i, account := range accounts {
		var ok bool
		if all[i], ok = n.Cached(account); !ok {
			missing = append(missing, i)
		}
	}
	return all, n.readAll(ctx, accounts, missing, all)
}

// Current implements router.Nodes.
func (n *Node) Current(ctx context.Context, account string) ([]router.Place, error) {
	var all [1][]router.Place
	if err := n.read(ctx, []string{account}, []int{0}, all[:]); err != nil {
		return nil, err
	}
	return all[0], nil
}

// CurrentAll implements router.Nodes.
func (n *Node) CurrentAll(ctx context.Context, accounts []string) ([][]router.Place, error) {
	all, indexes := make([][]router.Place, len(accounts)), make([]int, len(accounts))
	for i := range indexes {
		indexes[i] = i
	}
	return all, n.readAll(ctx, accounts, indexes, all)
}

// readAll reads the accounts at some indexes from the directory, and sets the same indexes of
// all.
func (n *Node) readAll(ctx context.Context, accounts []string, indexes []int, all [][]router.Place) error {
	for some := range slices.Chunk(indexes, lookupBatch) {
		if err := n.read(ctx, accounts, some, all); err != nil {
			return err
		}
	}
	return nil
}

// read is readAll for what fits in one pipeline.
func (n *Node) read(ctx context.Context, accounts []string, indexes []int, all [][]router.Place) error {
	if !n.usable() {
		return router.ErrNoDirectory
	}
	ctx, cancel := context.WithTimeout(ctx, n.engine.timeout)
	defer cancel()
	c := n.engine.lookups
	cmds := make([]rueidis.Completed, 0, len(indexes))
	reads := make([]*reading, 0, len(indexes))
	for _, i := range indexes {
		reads = append(reads, n.cache.begin(accounts[i]))
		cmds = append(cmds, c.B().Hgetall().Key(accountKey(accounts[i])).Build())
	}
	replies := c.DoMulti(ctx, cmds...)
	n.stats.lookups.Add(uint64(len(indexes)))
	self, m := n.Self(), n.members.Load()
	var failure error
	for j, i := range indexes {
		places, err := n.readPlaces(replies[j], self, m)
		if err != nil {
			n.cache.end(reads[j], nil, false)
			failure = err
			continue
		}
		n.cache.end(reads[j], places, true)
		all[i] = places
	}
	if failure != nil && ctx.Err() == nil || n.engine.failed(failure) {
		n.engine.failed(failure)
		n.stats.errors.Add(1)
		return router.ErrNoDirectory
	}
	return nil
}

// readPlaces reads the reply to HGETALL.
func (n *Node) readPlaces(reply rueidis.RedisResult, self router.NodeID, m *members) ([]router.Place, error) {
	message, err := reply.ToMessage()
	if err != nil {
		return nil, err
	}
	if message.IsNil() {
		return nil, nil
	}
	fields, err := message.AsStrMap()
	if err != nil {
		return nil, err
	}
	var places []router.Place
	for resource, text := range fields {
		if p, _, ok := entry(resource, text); ok && p.Node != self && !m.isDead(uint64(p.Node)) {
			places = append(places, p)
		}
	}
	return places, nil
}
