package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	createdTable = regexp.MustCompile(`CREATE TABLE ([a-z_]+)`)
	renamedTable = regexp.MustCompile(`ALTER TABLE ([a-z_]+) RENAME TO`)
)

// impersonal are the tables that have nothing about people.
var impersonal = []string{"refused_message", "copying"}

// TestTables: docs/migrate.md says of each table of the store whether its rows move to another
// server, and docs/privacy.md of each one with data about people why they are stored and until when.
func TestTables(t *testing.T) {
	moves, stored := sectionOf(t, "migrate.md", "What moves"), sectionOf(t, "privacy.md", "What is stored")
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
		if gone[table] {
			continue
		}
		if !strings.Contains(moves, "`"+table+"`") {
			t.Errorf("docs/migrate.md does not say in \"What moves\" whether the rows of the table %s move", table)
		}
		if !strings.Contains(stored, "`"+table+"`") && !slices.Contains(impersonal, table) {
			t.Errorf("docs/privacy.md does not say in \"What is stored\" what the table %s is for", table)
		}
	}
}

// sectionOf returns the text below a heading of a page in docs.
func sectionOf(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if err != nil || !found {
		t.Fatalf("%s has no section %s: %v", page, heading, err)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}
