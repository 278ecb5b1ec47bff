package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFloorPlanPage: docs/architecture.md names every room on a line of its own.
func TestFloorPlanPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for room := range allowed {
		if !strings.Contains(string(page), "\n"+room+" ") {
			t.Errorf("docs/architecture.md does not name %s", room)
		}
	}
}
