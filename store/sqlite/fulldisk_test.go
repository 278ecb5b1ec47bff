package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"roost/store"
)

// smallDisk mounts a file system of a given size, or skips the test if it cannot.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skipf("mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk writes a file until the disk is full.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			size /= 16
		}
	}
}

// TestDeleteOnFullDisk: on a disk without a free byte, messages cannot be stored, but
// delivered ones can be deleted, one by one, although another process takes each byte that
// becomes free and the log has no spare space. They do not return after the next start.
// When the disk has space again, messages can be stored, and the reserve is restored.
func TestDeleteOnFullDisk(t *testing.T) {
	ctx := t.Context()
	dir := smallDisk(t, "32m")
	cfg := Config{Path: filepath.Join(dir, FileName), LogBytes: 1 << 20, ReserveBytes: 4 << 20}
	filler := filepath.Join(dir, "filler")
	s := openTest(t, cfg)
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 100, 100_000)
	keep := func() error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: make([]byte, 200_000), Received: time.Now()}, store.OfflineQuota{})
	}
	cutLog(t, s)
	fillDisk(t, filler)
	err := keep()
	for err == nil { // until the log has no free space
		err = keep()
	}
	wantError(t, err, "no space is left on the disk")
	waiting, _, err := s.Offline(ctx, juliet, 0, 1<<30)
	if err != nil || len(waiting) < 100 {
		t.Fatal(len(waiting), err)
	}
	for i, m := range waiting {
		if err := s.DeleteOffline(ctx, juliet, []int64{m.ID}); err != nil {
			t.Fatalf("message %d of %d could not be deleted: %v", i, len(waiting), err)
		}
		fillDisk(t, filler)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openTest(t, cfg)
	if n, err := s.CountOffline(ctx, juliet); n != 0 || err != nil {
		t.Errorf("%d messages have returned, %v", n, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := keep(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, cfg)
	if size := fileSize(t, cfg.Path+"-reserve"); size != cfg.ReserveBytes {
		t.Errorf("the reserve has %d bytes, want %d", size, cfg.ReserveBytes)
	}
}

// TestReserveIsForDeletions: the space that the reserve frees on a full disk is for
// deletions only, until there is space again. Bug: new messages took it, and delivered
// messages could not be deleted.
func TestReserveIsForDeletions(t *testing.T) {
	ctx := t.Context()
	dir := smallDisk(t, "32m")
	filler := filepath.Join(dir, "filler")
	s := openTest(t, Config{Path: filepath.Join(dir, FileName), LogBytes: 1 << 20, ReserveBytes: 4 << 20})
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 20, 100_000)
	cutLog(t, s)
	fillDisk(t, filler)
	if err := s.DeleteOffline(ctx, juliet, []int64{1, 2, 3, 4, 5}); err != nil {
		t.Fatal(err)
	}
	keep := func() error {
		return s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: []byte("small"), Received: time.Now()}, store.OfflineQuota{})
	}
	wantError(t, keep(), "no space is left on the disk")
	emptyMailbox(t, s, juliet)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.write(ctx, "Test", "step", noSavepoint|noTx, func(c *conn) error { s.step(c); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := keep(); err != nil {
		t.Errorf("the disk has space again, and a message is not stored: %v", err)
	}
}

// TestLogWithoutReserve: the log is truncated even if the disk has no space for the reserve.
// Bug: it kept its space, as on a full disk, and grew until the disk was full.
func TestLogWithoutReserve(t *testing.T) {
	dir := smallDisk(t, "32m")
	s := openTest(t, Config{Path: filepath.Join(dir, FileName), LogBytes: 256 << 10, ReserveBytes: 24 << 20})
	if s.reserve.full() {
		t.Fatal("the disk has space for the reserve")
	}
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		fillMailbox(t, s, juliet, 1, 100_000)
	}
	cutLog(t, s)
	if n := s.logFileSize(); n != 0 {
		t.Errorf("the log has %d bytes after it was truncated", n)
	}
}

// TestDeleteBesideFullWrites: a deletion does not fail because the disk has no space for
// other writes in its transaction.
func TestDeleteBesideFullWrites(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{})
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 5, 1000)
	pragma(t, s, "max_page_count = 50")
	// The writer is blocked until both writes are in its queue.
	release, waits := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write(ctx, "Test", "wait", noSavepoint|noTx, func(*conn) error { close(waits); <-release; return nil })
	}()
	<-waits
	kept, deleted := make(chan error, 1), make(chan error, 1)
	go func() {
		kept <- s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: make([]byte, 1<<20)}, store.OfflineQuota{})
	}()
	go func() { deleted <- deleteAll(ctx, s, juliet) }()
	for len(s.queue) < 2 {
		runtime.Gosched()
	}
	close(release)
	wantError(t, <-kept, "no space is left on the disk")
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	if n, err := s.CountOffline(ctx, juliet); n != 0 || err != nil {
		t.Errorf("%d messages are left, %v", n, err)
	}
}
