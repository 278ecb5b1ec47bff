package sqlite

import (
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"

	"roost/store"
)

// wrap returns an error that says in one line what was being done, what is wrong and, if
// known, how to fix it.
func (s *Store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if advice := s.advice(err); advice != "" {
		return fmt.Errorf("store: %s: %s (%w)", what, advice, err)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

// advice returns a text for people about an error of SQLite, or "".
func (s *Store) advice(err error) string {
	for _, plain := range []error{store.ErrNotFound, store.ErrExists, store.ErrHeld, store.ErrConflict, store.ErrQuota, store.ErrClosed, context.Canceled, context.DeadlineExceeded, errNewer} {
		if errors.Is(err, plain) {
			return ""
		}
	}
	path := s.cfg.Path
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return "no space is left on the disk of " + path + ": free some space"
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return fmt.Sprintf("another process has kept %s locked for %v: end it, or try again", path, s.cfg.BusyTimeout)
	case sqlite.ResultReadOnly:
		return path + " cannot be written: make it and its directory writable for this user"
	case sqlite.ResultCantOpen, sqlite.ResultPerm, sqlite.ResultAuth:
		return path + " cannot be opened: make sure that its directory exists and belongs to this user"
	case sqlite.ResultCorrupt:
		return path + " is damaged: stop all programs that use it and restore a backup"
	case sqlite.ResultNotADB:
		return path + " is not a database: move it away, or choose another data directory"
	case sqlite.ResultIOErr:
		return "the disk of " + path + " reports errors: see the system's log"
	}
	return ""
}
