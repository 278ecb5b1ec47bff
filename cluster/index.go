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

// levelsKey holds the highest level of each node.
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

// entryLevel is the level for a new entry. A higher level than before is noted in the engine
// first, so that the others find what is in it.
func (n *Node) entryLevel(ctx context.Context) int {
	level := int(n.level.Load())
	if n.count.Load() < bucketEntries<<level || level == maxLevel-1 {
		return levelFor(n.count.Load(), level)
	}
	epoch := n.epoch.Load()
	ctx, cancel := context.WithTimeout(ctx, n.engine.timeout)
	defer cancel()
	c := n.engine.client
	if n.engine.failed(c.Do(ctx, c.B().Hset().Key(levelsKey).FieldValue().FieldValue(strconv.FormatUint(epoch, 10), strconv.Itoa(level+1)).Build()).Error()) {
		return level
	}
	if n.epoch.Load() == epoch {
		n.level.CompareAndSwap(int32(level), int32(level+1))
	}
	return level
}

// levelFor is the lowest level that has space for count entries.
func levelFor(count int64, highest int) (level int) {
	for level < highest && count >= bucketEntries<<level {
		level++
	}
	return level
}
