package memstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"roost/store"
)

// ListBlocks implements store.Blocks.
func (s *Store) ListBlocks(ctx context.Context) (all []store.Block, err error) {
	err = s.read(ctx, "ListBlocks", "list blocks", func(l *Location) error {
		for _, b := range l.blocks {
			all = append(all, b)
		}
		slices.SortFunc(all, func(a, b store.Block) int { return strings.Compare(a.Target, b.Target) })
		return nil
	})
	return all, err
}

// PutBlock implements store.Blocks.
func (s *Store) PutBlock(ctx context.Context, b store.Block, limit int) error {
	return s.write(ctx, "PutBlock", "block "+b.Target, func(t *tx) error {
		others := len(t.l.blocks)
		if _, ok := t.l.blocks[b.Target]; ok {
			others--
		}
		if others >= limit {
			return store.ErrQuota
		}
		b.Target, b.Reason, b.Actor = strings.Clone(b.Target), strings.Clone(b.Reason), strings.Clone(b.Actor)
		b.Created, b.Until = blockTime(b.Created), blockTime(b.Until)
		t.l.blocks[b.Target] = b
		return nil
	})
}

// blockTime is a time to the second; the zero time stays as it is.
func blockTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return seconds(t)
}

// DeleteBlock implements store.Blocks.
func (s *Store) DeleteBlock(ctx context.Context, target string) error {
	return s.write(ctx, "DeleteBlock", "unblock "+target, func(t *tx) error {
		if _, ok := t.l.blocks[target]; !ok {
			return store.ErrNotFound
		}
		delete(t.l.blocks, target)
		return nil
	})
}

// DeleteEndedBlocks implements store.Blocks.
func (s *Store) DeleteEndedBlocks(ctx context.Context, now time.Time) error {
	return s.write(ctx, "DeleteEndedBlocks", "delete blocks that have ended", func(t *tx) error {
		for target, b := range t.l.blocks {
			if !b.Until.IsZero() && !b.Until.After(seconds(now)) {
				delete(t.l.blocks, target)
			}
		}
		return nil
	})
}
