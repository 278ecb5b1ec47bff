package cmdtest

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
)

// BenchmarkingPage is the document about roost-bench. All flags in it belong to
// roost-bench, except on lines with commands of roost.
const BenchmarkingPage = "docs/benchmarking.md"

// Documents returns the documents for users of the programs, by name.
func Documents(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "docs/decisions/*.md", "docs/internals/*.md", "deploy/*.*", "deploy/*/*", "test/interop/*.md", "bench/results/*.md"} {
		names, err := filepath.Glob("../../" + pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no files: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(name, "../../")] = string(text)
		}
	}
	return all
}

var namedFlag = regexp.MustCompile("(?:^|[\\s`(])--([a-z][a-z0-9-]*)")

// NamedFlags returns the names of flags in a text.
func NamedFlags(text string) (names []string) {
	for _, m := range namedFlag.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// Command is a command line in a document, without the program.
type Command struct {
	Args []string
	Part bool // from a sentence: arguments may be missing
}

// Commands returns the command lines of a program in a document: complete lines, and
// commands within sentences. It omits text in brackets at the end.
func Commands(text, program string) (all []Command) {
	whole := regexp.MustCompile(`(?m)^    (?:go run \./cmd/|\./)?` + program + ` ([^#|` + "\n" + `]*[^#|\s])`)
	sentence := regexp.MustCompile("`(?:go run \\./cmd/)?" + program + " ([a-z][^`|\n]*)")
	add := func(text string, part bool) {
		text, _, _ = strings.Cut(text, "[")
		text = strings.NewReplacer("$!", "1", "…", "", " &", "", "/etc/roost/roost.toml", "../../deploy/roost.toml").Replace(text)
		all = append(all, Command{strings.Fields(text), part})
	}
	for _, m := range whole.FindAllStringSubmatch(text, -1) {
		add(m[1], false)
	}
	for _, m := range sentence.FindAllStringSubmatch(text, -1) {
		add(m[1], true)
	}
	return all
}

// WithoutCommands returns a document without the commands of a program: complete lines,
// and commands within sentences. [DocumentedCommands] tests these.
func WithoutCommands(text, program string) string {
	return regexp.MustCompile("(?m)^    (?:go run \\./cmd/|\\./)?"+program+" .*$|`(?:go run \\./cmd/)?"+program+" [^`\n]*`").ReplaceAllString(text, "")
}

// Flags returns the names of all flags of a program.
func Flags(t *testing.T, app *kong.Kong) map[string]bool {
	t.Helper()
	flags := make(map[string]bool)
	err := kong.Visit(app.Model, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			flags[f.Name] = true
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

// DocumentedCommands tests that the commands of a program in the documents are accepted
// as written, by a parser from newParser and by also, which may be nil. In a sentence, a
// command may lack arguments. Finding fewer than least commands is an error: the search
// is broken.
func DocumentedCommands(t *testing.T, program string, least int, newParser func() (*kong.Kong, error), also func(args []string) error) {
	t.Helper()
	tried := 0
	for name, text := range Documents(t) {
		for _, c := range Commands(text, program) {
			tried++
			parser, err := newParser()
			if err != nil {
				t.Fatal(err)
			}
			parser.Exit = func(int) {} // the parser exits after printing the help
			parser.Stdout = io.Discard
			_, err = parser.Parse(cli.CommandOf(c.Args))
			if err != nil && c.Part && (strings.HasPrefix(err.Error(), "expected ") || strings.Contains(err.Error(), "FILE") || strings.Contains(err.Error(), "name an account")) {
				err = nil
			}
			if err == nil && also != nil {
				err = also(c.Args)
			}
			if err != nil {
				t.Errorf("%s: %s %s: %v", name, parser.Model.Name, strings.Join(c.Args, " "), err)
			}
		}
	}
	if tried < least {
		t.Errorf("only %d commands were found, want at least %d: the test no longer finds them", tried, least)
	}
}
