package cluster

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// The index of a node lists its entries in the directory, so that the others can remove them
// when it has died. It consists of hashes with about a hundred fields at most, which Redis
// stores compactly: level l has 2^l of them, and a new entry goes to the level at which these
// are full at the node's present number of entries. The level is in the entry, so that the
// field is found again.
//
// A field is the account, a slash and the resource: accounts contain no slash.

const bucketEntries = 64 // on average in a full level

// bucket of an account in a level. All nodes must compute the same.
func bucket(account string, level int) uint32 { return hash32(account) & (1<<level - 1) }

// hash32 is FNV-1a with a final mix, so that its lower bits are even.
func hash32(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	h ^= h >> 16
	h *= 0x85ebca6b
	return h ^ h>>13
}

// indexKey is the key of a bucket.
func indexKey(epoch uint64, level int, bucket uint32) string {
	return "roost:n:" + strconv.FormatUint(epoch, 36) + ":" + strconv.FormatInt(int64(level), 36) + ":" + strconv.FormatUint(uint64(bucket), 36)
}

// levelsKey holds the highest level of each node. A node without a field has only level 0.
const levelsKey = "roost:levels"

// field is the name of the operation's resource in the index.
func (o *op) field() string { return o.account + "/" + o.resource }

func indexAdd(c rueidis.Client, epoch uint64, o *op) rueidis.Completed {
	key := indexKey(epoch, o.level, bucket(o.account, o.level))
	return c.B().Hset().Key(key).FieldValue().FieldValue(o.field(), "").Build()
}

func indexRemove(c rueidis.Client, epoch uint64, o *op, level int) rueidis.Completed {
	key := indexKey(epoch, level, bucket(o.account, level))
	return c.B().Hdel().Key(key).Field(o.field()).Build()
}

// countFields counts what an operation has added to the index, or removed from it, also if the
// rest of the operation has failed. It returns how many fields these are.
func (n *Node) countFields(o *op, replies []rueidis.RedisResult) (changed int64) {
	added := int64(-1)
	switch o.kind {
	case opRegister:
		replies, added = replies[:1], 1 // the other is that of the script
	case opUnindex, opForget:
	default:
		return 0
	}
	for _, r := range replies {
		if fields, err := r.AsInt64(); err == nil {
			changed += fields
		}
	}
	n.count.Add(added * changed)
	return changed
}

// recount counts the fields of the index, because the engine may have lost some. What changes
// meanwhile may be counted twice, or not at all.
func (n *Node) recount(ctx context.Context) error {
	epoch, before, found := n.epoch.Load(), n.count.Load(), 0
	err := eachPage(epoch, int(n.level.Load()), func(keys []string) error {
		fields, err := n.readBuckets(ctx, keys)
		found += len(fields)
		return err
	})
	if err == nil && n.epoch.Load() == epoch {
		n.count.Add(int64(found) - before)
	}
	return err
}

// eachPage calls f for the buckets of all levels up to one, in pages, until f fails.
func eachPage(epoch uint64, highest int, f func(keys []string) error) error {
	for level := range highest + 1 {
		for first := uint64(0); first < 1<<level; first += cleanPage {
			var keys []string
			for b := first; b < min(first+cleanPage, 1<<level); b++ {
				keys = append(keys, indexKey(epoch, level, uint32(b)))
			}
			if err := f(keys); err != nil {
				return err
			}
		}
	}
	return nil
}

// entryLevel is the level for a new entry. A higher level than before is noted in the engine
// first, so that the others find what is in it.
func (n *Node) entryLevel(ctx context.Context) int {
	level := int(n.level.Load())
	if n.count.Load() < bucketEntries<<level || level == maxLevel-1 {
		return levelFor(n.count.Load(), level)
	}
	epoch := n.epoch.Load()
	if n.noteLevel(ctx, epoch, level+1) == nil && n.epoch.Load() == epoch {
		n.level.CompareAndSwap(int32(level), int32(level+1))
	}
	return level
}

// noteLevel notes in the engine that the index of a node has levels up to one.
func (n *Node) noteLevel(ctx context.Context, epoch uint64, level int) error {
	err := n.engine.do(ctx, levelScript, []string{levelsKey}, []string{strconv.FormatUint(epoch, 10), strconv.Itoa(level)}).Error()
	n.engine.failed(err)
	return err
}

// noteLevelAgain is noteLevel for the level that this node has, if the engine may not know it: it
// has lost data, or the node has a new epoch. Levels never become lower, because registrations that
// are on their way have the one that was the highest before.
func (n *Node) noteLevelAgain() {
	if n.lease.unnoted && n.noteLevel(n.ctx, n.epoch.Load(), int(n.level.Load())) == nil {
		n.lease.unnoted = false
	}
}

// levelFor is the lowest level that has space for count entries.
func levelFor(count int64, highest int) (level int) {
	for level < highest && count >= bucketEntries<<level {
		level++
	}
	return level
}
