package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"roost/store"
	"roost/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Location {
		return location{Config{Path: filepath.Join(t.TempDir(), "data", FileName), ReserveBytes: -1}}
	})
}

// openTest opens a store, by default in a directory of the test, and closes it when the test
// ends.
func openTest(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "data", FileName)
	}
	if cfg.ReserveBytes == 0 {
		cfg.ReserveBytes = -1
	}
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ignoreConflict returns err unless it is store.ErrConflict.
func ignoreConflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// TestCloseLog: a closed database is one file, whichever connection is the last. Without an
// order of closing, every hundredth store leaves its log.
func TestCloseLog(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 8 {
				s := openFilled(t, Config{}, 1)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(s.logPath()); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the log is left: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
