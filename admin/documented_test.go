package admin

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roost/admin/api"
)

// rowsOf returns the cells of the rows of the table in docs/admin.md that has this header.
func rowsOf(t *testing.T, header string) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile("../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "\n"+header+"\n")
	if !found {
		t.Fatalf("docs/admin.md has no table %s", header)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for _, line := range strings.Split(table, "\n")[1:] { // the first separates the header
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}

var quoted = regexp.MustCompile("`([^`]+)`")

// TestRequestTable: the table in docs/admin.md has every request, with its scope, and no other.
func TestRequestTable(t *testing.T) {
	documented := make(map[string]bool)
	for _, cells := range rowsOf(t, "| request | command | scope | |") {
		var methods []string
		path := ""
		for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
			method, p, _ := strings.Cut(m[1], " ")
			methods, path = append(methods, method), p
		}
		scopes := strings.Split(cells[2], ", ")
		if len(methods) != len(scopes) || cells[3] == "" {
			t.Errorf("%q", cells)
			continue
		}
		for i, method := range methods {
			documented[fmt.Sprintf("%s %s: %s", method, path, scopes[i])] = true
		}
	}
	served := make(map[string]bool)
	for _, r := range routes() {
		served[fmt.Sprintf("%s %s: %s", r.method, r.path, r.scope)] = true
	}
	if !maps.Equal(documented, served) {
		t.Errorf("docs/admin.md has\n%s\nthere are\n%s", sorted(documented), sorted(served))
	}
}

// TestEventTable: docs/admin.md explains every kind of event, and no other.
func TestEventTable(t *testing.T) {
	documented, sent := make(map[string]bool), map[string]bool{string(api.EventLost): true}
	for _, cells := range rowsOf(t, "| kind | |") {
		if cells[1] == "" {
			t.Errorf("%q", cells)
		}
		documented[strings.Trim(cells[0], "`")] = true
	}
	for _, kind := range eventKinds {
		sent[string(kind)] = true
	}
	if !maps.Equal(documented, sent) {
		t.Errorf("docs/admin.md has\n%s\nthere are\n%s", sorted(documented), sorted(sent))
	}
}

func sorted(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), "\n")
}
