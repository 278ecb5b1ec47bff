package server

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"roost/blocks"
	"roost/store"
)

// blockInterval is how often blocks that have ended are removed from the store. They are
// not in force any more whether they have been removed or not.
const blockInterval = 30 * time.Second

// blockRefresh is how often the nodes of a cluster look for blocks that others have made.
const blockRefresh = 5 * time.Second

// openBlocks reads the blocks, and has the packages that refuse clients ask for them.
func (s *Server) openBlocks(ctx context.Context, st store.Store, cfg *Config) (err error) {
	files, err := readBlockFiles(cfg)
	if err != nil {
		return err
	}
	if s.blocks, err = blocks.Open(ctx, st); err != nil {
		return err
	}
	s.useBlockFiles(files, cfg)
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

// CheckBlockFiles returns the mistake in the files with blocks, if there is one.
func CheckBlockFiles(cfg Config) error {
	_, err := readBlockFiles(&cfg)
	return err
}

func readBlockFiles(cfg *Config) (*blocks.Files, error) {
	files, err := blocks.ReadFiles(cfg.BlockFiles)
	if err != nil {
		return nil, &FieldError{"BlockFiles", fmt.Errorf("block file: %w", err)}
	}
	return files, nil
}

// useBlockFiles has new connections and logins obey files, and reports whether they are others
// than before.
func (s *Server) useBlockFiles(files *blocks.Files, cfg *Config) (changed bool) {
	if changed = s.blocks.SetFiles(files); changed && len(cfg.BlockFiles) > 0 {
		cfg.Logger.Info("block files were read", "networks", files.Networks(), "accounts", files.Accounts())
	}
	return changed
}

// refreshBlocks looks for blocks that other nodes have made or removed, until ctx ends.
func (s *Server) refreshBlocks(ctx context.Context) {
	every(ctx, blockRefresh, func() {
		switch added, err := s.blocks.Refresh(ctx); {
		case err != nil && ctx.Err() == nil:
			s.log.Error("blocks could not be read, will retry; those that this node knows stay in force", "err", err)
		case added:
			s.admin.EnforceBlocks()
		}
	})
}
