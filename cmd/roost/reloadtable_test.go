package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReloadTable: the table of docs/configuration.md has each setting, and what a change of
// it takes.
func TestReloadTable(t *testing.T) {
	const name, begin, end = "../../docs/configuration.md", "<!-- table: go test ./cmd/roost -update -->\n", "<!-- end -->"
	var hot, special, restart []string
	for _, s := range new(serveFlags).settings() {
		if !s.isSetting() {
			continue
		}
		flag := "`--" + s.flag + "`"
		switch isHot, note := s.change(); {
		case !isHot:
			restart = append(restart, fmt.Sprintf("| %s | a restart: %s |\n", flag, note))
		case note != "":
			special = append(special, fmt.Sprintf("| %s | %s |\n", flag, note))
		default:
			hot = append(hot, flag)
		}
	}
	want := "| settings | a change applies to |\n|---|---|\n| " + strings.Join(hot, ", ") + " | everything, at once |\n" + strings.Join(special, "") + strings.Join(restart, "")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Fatalf("%s has no table", name)
	case got == want:
	case *update:
		if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of %s is not that of the tags: run go test ./cmd/roost -update", name)
	}
}
