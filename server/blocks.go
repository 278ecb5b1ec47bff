package server

import (
	"context"
	"net/netip"
	"time"

	"roost/blocks"
	"roost/store"
)

// blockInterval is how often blocks that have ended are removed from the store. They are
// not in force any more whether they have been removed or not.
const blockInterval = 30 * time.Second

// openBlocks reads the blocks, and has the packages that refuse clients ask for them.
func (s *Server) openBlocks(ctx context.Context, st store.Store, cfg *Config) (err error) {
	if s.blocks, err = blocks.Open(ctx, st); err != nil {
		return err
	}
	cfg.Poller.Blocked = func(client netip.Addr) bool {
		_, blocked := s.blocks.Network(client)
		return blocked
	}
	cfg.Session.Blocked = func(account string) (text string, blocked bool) {
		b, blocked := s.blocks.Account(account)
		return blocks.AccountText(b.Reason), blocked
	}
	return nil
}

// removeEndedBlocks removes the blocks that have ended until ctx ends.
func (s *Server) removeEndedBlocks(ctx context.Context) {
	every(ctx, blockInterval, func() {
		if err := s.blocks.RemoveEnded(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("blocks that have ended could not be removed from the store; they are not in force", "err", err)
		}
	})
}
