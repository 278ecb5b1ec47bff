package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
)

// TestBackupMetric: a scrape of the running server has the time of the last backup that was
// successful, whatever has failed before and after it.
func TestBackupMetric(t *testing.T) {
	_, dir, _ := servingAccounts(t, "romeo@localhost")
	f := runner(t, dir)
	client := api.Local(filepath.Join(dir, api.SocketName))
	defer client.Close()
	exported := func() int64 {
		t.Helper()
		var text []byte
		if err := client.Get(t.Context(), api.PathMetrics, nil, &text); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		const name = "roost_backup_last_success_timestamp_seconds "
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name) })
		if i < 0 {
			t.Fatalf("it is not exported:\n%s", text)
		}
		at, err := strconv.ParseFloat(strings.TrimPrefix(lines[i], name), 64)
		if err != nil {
			t.Fatal(err)
		}
		return int64(at)
	}
	taken := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(taken, []byte("not a backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails := func() { f(1, "is not a backup of roost", "backup", taken) }
	fails()
	if at := exported(); at != 0 {
		t.Errorf("without a backup, its time is %d", at)
	}
	begin := time.Now().Unix()
	f(0, "of 1 account, ", "backup", filepath.Join(t.TempDir(), "b.tar"))
	at := exported()
	if at < begin || at > time.Now().Unix() {
		t.Errorf("the time is %d; it began at %d", at, begin)
	}
	fails()
	if got := exported(); got != at {
		t.Errorf("after a backup that has failed, the time is %d, want %d", got, at)
	}
}
