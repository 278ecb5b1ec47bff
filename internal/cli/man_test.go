package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestManPages: each command has a page, with what its help says; hidden ones have none.
func TestManPages(t *testing.T) {
	pages := ManPages(newShop(t).Model.Node, "v1.2.3", "2026-03-01")
	for _, name := range []string{"fruit-shop", "fruit-shop-sell", "fruit-shop-sell-apple", "fruit-shop-sell-pear", "fruit-shop-close", "fruit-shop-completion"} {
		if pages[name+".1"] == nil {
			t.Errorf("no page %s", name)
		}
	}
	if len(pages) != 6 {
		t.Errorf("%d pages", len(pages))
	}
	f := func(page string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(string(pages[page+".1"]), w) {
				t.Errorf("%s has no %q:\n%s", page, w, pages[page+".1"])
			}
		}
	}
	f("fruit-shop", `.TH FRUIT-SHOP 1 "2026-03-01" "fruit\-shop v1.2.3"`, "fruit-shop \\- A shop\n", "Sell.\n", ".BR fruit\\-shop\\-sell (1)", "EXIT STATUS")
	f("fruit-shop-sell-apple", ".B fruit\\-shop sell apple\n", "<file>", `.BI \-\-into= "DIR"`, "In € (", ".BR fruit\\-shop\\-sell\\-pear (1)")
	f("fruit-shop-close", `It's closed: C:\eshop.`)
	if strings.Contains(string(pages["fruit-shop-sell-apple.1"]), ", here 3") {
		t.Error("the page has a default of this machine")
	}
}

// TestManLint: mandoc finds nothing wrong with the pages, if it is installed.
func TestManLint(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed")
	}
	dir := t.TempDir()
	for name, page := range ManPages(newShop(t).Model.Node, "v1.2.3", "2026-03-01") {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, page, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(mandoc, "-Tlint", "-Wwarning", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestMarkdown: the reference has each command that is not hidden, with its flags and
// arguments.
func TestMarkdown(t *testing.T) {
	text := string(Markdown(newShop(t).Model.Node))
	for _, want := range []string{"# Commands of fruit-shop\n", "| [fruit-shop sell pear](#fruit-shop-sell-pear) |", "\n## fruit-shop sell apple\n", "| `<file>` |", "| `--into=DIR` |", "In € ("} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, ", here 3") || strings.Contains(text, "## fruit-shop sell\n") {
		t.Errorf("a default of this machine, or a command that only has others:\n%s", text)
	}
}

// TestFlagGroups: each group of flags has one heading, wherever its flags are declared.
func TestFlagGroups(t *testing.T) {
	var flags struct {
		Sell struct {
			Price  int `group:"Money:"`
			Color  string
			Weight int `group:"Size:"`
			Tax    int `group:"Money:"`
		} `cmd:"" help:"Sell."`
	}
	parser, err := kong.New(&flags, kong.Name("shop"))
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for line := range strings.Lines(string(Markdown(parser.Model.Node))) {
		if title, ok := strings.CutPrefix(line, "| flag |"); ok {
			headings = append(headings, strings.Trim(title, " |\n"))
		}
	}
	if got := strings.Join(headings, ","); got != ",Money,Size" {
		t.Errorf("tables of flags: %q", got)
	}
	page := string(ManPages(parser.Model.Node, "v1", "2026-03-01")["shop-sell.1"])
	if n := strings.Count(page, ".SS Money\n"); n != 1 {
		t.Errorf("%d headings of one group:\n%s", n, page)
	}
}
