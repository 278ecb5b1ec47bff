package router

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkRecentChanges looks for the changes of an account among as many as are remembered.
func BenchmarkRecentChanges(b *testing.B) {
	var q recentChanges
	now := time.Now()
	for i := range maxRecent {
		q.note(rosterChange{account: fmt.Sprintf("account%d@example.org", i), contact: "romeo@example.org"}, now)
	}
	for b.Loop() {
		if q.of("account1@example.org", now) == nil {
			b.Fatal("nothing is found")
		}
	}
}
