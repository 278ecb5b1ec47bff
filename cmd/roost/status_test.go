package main

import (
	"strings"
	"testing"

	"roost/admin/api"
)

// TestStatusRestored: roost status says what has become of the sessions that were saved, if
// there were any.
func TestStatusRestored(t *testing.T) {
	var out strings.Builder
	s := api.Status{Sessions: api.Sessions{Restored: api.Restored{Waiting: 1200, Resumed: 30, Ended: 4}}}
	writeStatus(&out, &s)
	const want = "restored       1,234 sessions at the start: 30 were resumed since, 1,200 wait for their clients, 4 have ended\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("the status is\n%s, and has no line %s", out.String(), want)
	}
	out.Reset()
	writeStatus(&out, new(api.Status))
	if strings.Contains(out.String(), "restored") {
		t.Errorf("the status is\n%s", out.String())
	}
}
