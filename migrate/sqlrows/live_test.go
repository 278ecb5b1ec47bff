package sqlrows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// testLive tests what reading has to do for each kind of database server. exec executes
// statements by a connection of its own.
func testLive(t *testing.T, url string, exec func(sql string)) {
	t.Helper()
	exec("CREATE TABLE t1 (a INT)")
	exec("CREATE TABLE t2 (a INT)")
	exec("INSERT INTO t1 VALUES (1), (2)")
	exec("INSERT INTO t2 VALUES (3)")
	from := Source{Name: url}

	// What is written after the beginning is not read, in no table.
	var got []string
	asked := false
	to := Receiver{Want: func(string) bool {
		if !asked {
			exec("INSERT INTO t1 VALUES (6)")
		}
		asked = true
		return true
	}, Row: func(r *Row) error {
		if got = append(got, r.Table+" "+r.String()); len(got) == 1 {
			exec("INSERT INTO t1 VALUES (4)")
			exec("INSERT INTO t2 VALUES (5)")
			exec("DELETE FROM t2 WHERE a = 3")
		}
		return nil
	}}
	if err := from.Read(t.Context(), to); err != nil || strings.Join(got, ",") != "t1 1,t1 2,t2 3" {
		t.Errorf("%q, %v", got, err)
	}

	broken := errors.New("broken")
	to.Row = func(*Row) error { return broken }
	if err := from.Read(t.Context(), to); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	to.Row = func(*Row) error { cancel(); return ctx.Err() }
	if err := from.Read(ctx, to); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	exec("DROP TABLE t1")
	exec("DROP TABLE t2")
}

// TestWatch: a database that sends nothing does not keep an import waiting, and what is done
// with its rows may take long.
func TestWatch(t *testing.T) {
	defer func(p time.Duration) { stallLimit = p }(stallLimit)
	stallLimit = time.Millisecond
	err := readLive(t.Context(), Receiver{}, func(ctx context.Context, l liveTables) error {
		<-ctx.Done()
		return fmt.Errorf("read: %w", ctx.Err())
	})
	if err != errStalled {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readLive(ctx, Receiver{}, func(ctx context.Context, l liveTables) error { return ctx.Err() }); err != context.Canceled {
		t.Error(err)
	}
	stallLimit = time.Hour
	broken := errors.New("broken")
	if err := readLive(t.Context(), Receiver{Row: func(*Row) error { return broken }}, func(ctx context.Context, l liveTables) error {
		err := l.pass(&Row{})
		if l.watch.timer.Stop() {
			t.Error("the watch runs while a row is used")
		}
		return err
	}); err != broken {
		t.Error(err)
	}
}
