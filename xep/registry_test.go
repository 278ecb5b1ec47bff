package xep

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/router"
)

var update = flag.Bool("update", false, "rewrite the table in docs/extensions.md")

// testContacts are the contact addresses of the test servers.
var testContacts = map[string][]string{
	"abuse": {"mailto:abuse@localhost"},
	"admin": {"mailto:xmpp@localhost", "xmpp:admin@localhost"},
}

// registered returns the extensions of a server that has everything enabled, including
// those of the router.
func registered(t *testing.T) []router.Extension {
	t.Helper()
	r := router.New(router.Config{
		Extensions: New(Config{Register: true, Invitations: InviteUsers, Contacts: testContacts, OutageStatus: []string{"https://status.example.org/outage.json"}}).All(),
	})
	t.Cleanup(r.Close)
	return r.Extensions()
}

// TestEveryExtension checks what the rest of the program and its readers rely on in each
// extension.
func TestEveryExtension(t *testing.T) {
	names := make(map[string]bool)
	for _, x := range registered(t) {
		if x.Name == "" || names[x.Name] {
			t.Errorf("the name %q is empty or not unique", x.Name)
		}
		names[x.Name] = true
		if x.Title == "" {
			t.Errorf("%s: no title", x.Name)
		}
		if x.XEP == 0 {
			if !strings.Contains(x.Title, "RFC") {
				t.Errorf("%s: neither the number of a XEP nor an RFC in the title", x.Name)
			}
			continue
		}
		if x.Version == "" {
			t.Errorf("%s: no version of XEP-%04d", x.Name, x.XEP)
		}
		if _, err := os.Stat(filepath.Join("testdata", x.Name+".txt")); err != nil {
			t.Errorf("%s: no dialogue: %v", x.Name, err)
		}
	}
}

// The table in the documentation is between these lines.
const (
	tableBegin = "<!-- table: go test ./xep -update -->\n"
	tableEnd   = "<!-- end -->\n"
)

// TestDocs checks that the table of supported extensions matches the registrations.
func TestDocs(t *testing.T) {
	name := filepath.Join("..", "docs", "extensions.md")
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found1 := bytes.Cut(page, []byte(tableBegin))
	_, after, found2 := bytes.Cut(rest, []byte(tableEnd))
	if !found1 || !found2 {
		t.Fatalf("%s lacks the lines %q and %q around the table", name, tableBegin, tableEnd)
	}
	want := slices.Concat(before, []byte(tableBegin), docsTable(registered(t)), []byte(tableEnd), after)
	switch {
	case bytes.Equal(page, want):
	case *update:
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not match the registrations: run go test ./xep -update", name)
	}
}

func docsTable(exts []router.Extension) []byte {
	exts = slices.DeleteFunc(slices.Clone(exts), func(x router.Extension) bool { return x.XEP == 0 })
	slices.SortFunc(exts, func(a, b router.Extension) int { return a.XEP - b.XEP })
	var b bytes.Buffer
	b.WriteString("| XEP | title | version | file |\n|---|---|---|---|\n")
	for _, x := range exts {
		fmt.Fprintf(&b, "| %04d | %s | %s | %s |\n", x.XEP, x.Title, x.Version, fileOf(x.Name))
	}
	return b.Bytes()
}

// fileOf returns the path of an extension: the file with its name, in this package or in
// the router.
func fileOf(name string) string {
	for _, dir := range []string{"xep", "router"} {
		if _, err := os.Stat(filepath.Join("..", dir, name+".go")); err == nil {
			return "`" + dir + "/" + name + ".go`"
		}
	}
	return ""
}
