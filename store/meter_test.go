package store_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"roost/store"
)

// TestMeter: operations are measured by class, and the slowest of the last minutes are
// kept.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMeter()
		call := func(name string, writes bool, took time.Duration) {
			t.Helper()
			done, err := m.Intercept(context.Background(), store.Op{Name: name, Writes: writes})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(took) // virtual time
			done()
		}
		slowest := func() (all string) {
			for _, c := range m.Slowest() {
				all += fmt.Sprint(c.Op.Name, " ", c.Took, " ")
			}
			return all
		}
		call("Watch", false, time.Hour) // waits for events: not measured
		call("Account", false, 2*time.Millisecond)
		call("AppendOffline", true, 30*time.Millisecond)
		call("Roster", false, 3*time.Millisecond)
		reads, writes := m.Times()
		if reads.Count() != 2 || reads.Sum != int64(5*time.Millisecond) || writes.Count() != 1 || writes.Sum != int64(30*time.Millisecond) {
			t.Errorf("%+v %+v", reads, writes)
		}
		if got, want := slowest(), "AppendOffline 30ms Roster 3ms Account 2ms "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		for i := range 20 {
			call("Roster", false, time.Duration(i)*time.Millisecond)
		}
		if got, want := slowest(), "AppendOffline 30ms Roster 19ms Roster 18ms Roster 17ms Roster 16ms Roster 15ms Roster 14ms Roster 13ms Roster 12ms Roster 11ms "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		time.Sleep(6 * time.Minute)
		call("Account", false, time.Millisecond)
		if got := slowest(); len(m.Slowest()) != 10 || got[:18] != "AppendOffline 30ms" {
			t.Errorf("a period later: %s", got)
		}
		time.Sleep(6 * time.Minute)
		if got, want := slowest(), "Account 1ms "; got != want {
			t.Errorf("two periods later: %s, want %s", got, want)
		}
		time.Sleep(time.Hour)
		if got := slowest(); got != "" {
			t.Errorf("an hour later: %s", got)
		}
	})
}
