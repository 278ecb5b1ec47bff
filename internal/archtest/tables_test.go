package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	createdTable = regexp.MustCompile(`CREATE TABLE ([a-z_]+)`)
	renamedTable = regexp.MustCompile(`ALTER TABLE ([a-z_]+) RENAME TO`)
)

// TestTables: docs/migrate.md says of each table of the store whether its rows move to another
// server.
func TestTables(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What moves\n")
	section, _, _ = strings.Cut(section, "\n## ")
	files, err := filepath.Glob("../../store/*/schema/*.sql")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	found, gone := make(map[string]bool), make(map[string]bool)
	for _, file := range files {
		sql, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range createdTable.FindAllStringSubmatch(string(sql), -1) {
			found[m[1]] = true
		}
		for _, m := range renamedTable.FindAllStringSubmatch(string(sql), -1) {
			gone[m[1]] = true
		}
	}
	for table := range found {
		if !gone[table] && !strings.Contains(section, "`"+table+"`") {
			t.Errorf("docs/migrate.md does not say in \"What moves\" whether the rows of the table %s move", table)
		}
	}
}
