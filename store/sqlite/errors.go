package sqlite

import (
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"

	"roost/store"
)

// wrap says in one line what was being done, what is wrong and, where it is
// known, how to mend it.
func (s *Store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if advice := s.advice(err); advice != "" {
		return fmt.Errorf("store: %s: %s (%w)", what, advice, err)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

// advice is a sentence for a human about an error of SQLite's, or "".
func (s *Store) advice(err error) string {
	for _, plain := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrQuota, store.ErrClosed, context.Canceled, context.DeadlineExceeded, errNewer} {
		if errors.Is(err, plain) {
			return ""
		}
	}
	path := s.cfg.Path
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return "no space is left on the disk of " + path + ": free some"
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return fmt.Sprintf("another process has kept %s locked for %v: end it, or try again", path, s.cfg.BusyTimeout)
	case sqlite.ResultReadOnly:
		return path + " cannot be written: make it and its directory writable for this user"
	case sqlite.ResultCantOpen, sqlite.ResultPerm, sqlite.ResultAuth:
		return path + " cannot be opened: see that its directory is there and belongs to this user"
	case sqlite.ResultCorrupt:
		return path + " is damaged: stop all that use it and restore a backup"
	case sqlite.ResultNotADB:
		return path + " is not a database: move it away, or name another data directory"
	case sqlite.ResultIOErr:
		return "the disk of " + path + " reports errors: see the system's log"
	}
	return ""
}
