package panics

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCounter: every panic is counted, and one per minute is logged, with the caller's
// attributes and the stack.
func TestCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		var c Counter
		inTrouble := func() {
			defer func() { c.Recovered(recover(), log, "jid", "romeo@localhost") }()
			panic("no")
		}
		f := func(count int64, lines int) {
			t.Helper()
			inTrouble()
			if c.Count() != count || strings.Count(out.String(), "level=ERROR") != lines {
				t.Errorf("%d panics, want %d; want %d lines in %s", c.Count(), count, lines, out.String())
			}
		}
		f(1, 1)
		f(2, 1)
		time.Sleep(logEvery) // virtual
		f(3, 2)
		for _, want := range []string{"panic=no", "panics=3", "jid=romeo@localhost", "TestCounter"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in %s", want, out.String())
			}
		}
	})
}

// TestStop: a panic that has passed Stop is not recovered from.
func TestStop(t *testing.T) {
	var c Counter
	defer func() {
		v := recover()
		if f, ok := v.(*Fatal); !ok || !strings.Contains(f.Error(), "broken") || !strings.Contains(f.Error(), "TestStop") {
			t.Errorf("the panic is %v", v)
		}
		if c.Count() != 0 {
			t.Error("the panic was counted as recovered")
		}
	}()
	defer func() { c.Recovered(recover(), slog.New(slog.DiscardHandler)) }()
	defer Stop()
	panic("broken")
}

// TestExit: a panic that nobody may recover from ends the process also on a goroutine where
// something recovers; others do not.
func TestExit(t *testing.T) {
	const variable = "ROOST_TEST_PANIC"
	switch os.Getenv(variable) {
	case "":
		for _, kind := range []string{"fatal", "other"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestExit$")
			cmd.Env = append(os.Environ(), variable+"="+kind)
			out, err := cmd.CombinedOutput()
			if ended := err != nil; ended != (kind == "fatal") || ended && !strings.Contains(string(out), "panic in shared state: no") {
				t.Errorf("%s: %v\n%s", kind, err, out)
			}
		}
		return
	case "fatal":
		defer func() { Exit(recover()) }()
		defer Stop()
	default:
		defer func() { Exit(recover()) }()
	}
	panic("no")
}
