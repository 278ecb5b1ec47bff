package store

import (
	"context"
	"time"
)

// Blocks are networks and accounts that may not use the server.
type Blocks interface {
	// ListBlocks returns all blocks, including those that have ended, in the order of the
	// bytes of their targets.
	ListBlocks(ctx context.Context) ([]Block, error)

	// PutBlock adds a block, or replaces the one of the same target. It returns ErrQuota,
	// and changes nothing, if there are already limit blocks of other targets.
	PutBlock(ctx context.Context, b Block, limit int) error

	// DeleteBlock deletes the block of a target, or returns ErrNotFound.
	DeleteBlock(ctx context.Context, target string) error

	// DeleteEndedBlocks deletes the blocks that end at or before now.
	DeleteEndedBlocks(ctx context.Context, now time.Time) error
}

// Block is a network or an account that may not use the server.
type Block struct {
	Target  string // a network in CIDR notation, or the bare JID of an account, each in its normal form
	Reason  string
	Actor   string    // who has made it
	Created time.Time // UTC, to the second
	Until   time.Time // UTC, to the second; zero: it has no end
}
