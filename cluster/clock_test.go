package cluster

import (
	"fmt"
	"testing"
	"time"

	"roost/internal/redistest"
)

// TestClockBehind: if the clock of the server is behind that of the one before, nothing that was set
// by that lasts longer than a lease. Bug: a node that had died with the old server counted as alive, and
// kept its name and what it cleaned up, until the clock of the new one had caught up.
func TestClockBehind(t *testing.T) {
	server := redistest.Start(t)
	client := dialRedis(t, server)
	const lease = time.Hour
	before := time.Now().Add(100 * lease).UnixMilli() // by the other clock
	later := before + lease.Milliseconds()
	cmd := client.B().Hset().Key(nodesKey).FieldValue().FieldValue("gen", "gen").FieldValue("seen", fmt.Sprint(before)).FieldValue("grace", fmt.Sprint(later)).
		FieldValue("1", fmt.Sprintf("%d 0 0 0 a", later)).FieldValue("2", fmt.Sprintf("%d 0 0 0 b", later)).FieldValue("3", fmt.Sprintf("%d 1 1 %d c", before, later))
	if err := client.Do(t.Context(), cmd.Build()).Error(); err != nil {
		t.Fatal(err)
	}
	// A node with the same name as one that has died joins.
	r, err := client.Do(t.Context(), client.B().Eval().Script(nodesText).Numkeys(1).Key(nodesKey).
		Arg("join", "a", "0", fmt.Sprint(lease.Milliseconds()), "gen", "0", "shared", "", "").Build()).ToArray()
	if err != nil || len(r) != 6 {
		t.Fatalf("%v, %v", r, err)
	}
	status, _ := r[0].ToString()
	if left, _ := r[1].AsInt64(); status != "held" || left > lease.Milliseconds() {
		t.Errorf("%s, for %v", status, time.Duration(left)*time.Millisecond)
	}
	now, _ := r[2].AsInt64()
	fields, err := r[5].AsStrMap()
	if err != nil {
		t.Fatal(err)
	}
	latest := now + lease.Milliseconds()
	for field, want := range map[string]string{
		"1": fmt.Sprintf("%d 0 0 0 a", latest), "2": fmt.Sprintf("%d 0 0 0 b", latest), "3": fmt.Sprintf("%d 1 1 %d c", latest, latest),
		"grace": fmt.Sprint(latest), "seen": fmt.Sprint(now),
	} {
		if fields[field] != want {
			t.Errorf("%s is %q, want %q", field, fields[field], want)
		}
	}
}
