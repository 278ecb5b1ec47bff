package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// shop is a program with everything that completion and manual pages know.
type shop struct {
	Sell struct {
		Apple struct {
			File  string `arg:"" help:"What to sell."`
			Size  string `enum:"small,large," default:"" help:"Its size; the customer's choice (default: ${default})."`
			Into  string `placeholder:"DIR" help:"Where to put it."`
			Note  string `placeholder:"FILE" help:"A note."`
			Price int    `default:"3" help:"In €, here 3 (default: ${default})."`
		} `cmd:"" help:"Sell an apple. It is green."`
		Pear struct {
			Kind string `arg:"" enum:"ripe,hard" help:"The kind."`
		} `cmd:"" help:"Sell a pear."`
	} `cmd:"" help:"Sell."`
	Steal struct{}      `cmd:"" hidden:"" help:"Steal."`
	Close struct{}      `cmd:"" help:"It's closed: C:\\shop."`
	Quiet bool          `negatable:"" help:"Say nothing."`
	Done  CompletionCmd `cmd:"" name:"completion" help:"Completion."`
}

func newShop(t *testing.T) *kong.Kong {
	t.Helper()
	app, err := Program{Name: "fruit-shop", Description: "A shop. Come in."}.Parser(new(shop))
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// install writes the completion into a directory with files.
func install(t *testing.T, shell string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "completion")
	if err := os.WriteFile(file, Completion(newShop(t).Model.Node, shell), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "work", "shelf 1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "work", "shop list"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "work"), file
}

// completions are command lines and what completes their last word.
var completions = []struct{ line, want string }{
	{"", "close completion sell"},
	{"s", "sell"},
	{"sell ", "apple pear"},
	{"sell apple --s", "--size"},
	{"sell apple --size ", "large small"},
	{"sell apple --size=l", "large"},
	{"sell apple --size large --in", "--into"},
	{"sell apple --into ", "shelf 1"},
	{"sell apple --note sho", "shop list"},
	{"sell apple --note=sho", "shop list"},
	{"sell apple sho", "shop list"},
	{"sell apple --price ", ""},
	{"sell pear ", "hard ripe"},
	{"--no-q", "--no-quiet"},
	{"completion z", "zsh"},
	{"steal -", "--help --no-quiet --quiet"}, // it is hidden, and so not known
}

// TestBashCompletion runs the script in bash as completion does.
func TestBashCompletion(t *testing.T) {
	dir, file := install(t, "bash")
	script := `source "$1"
COMP_LINE="fruit-shop $2"
# The words as bash splits them: = is one of its own.
spaced=${COMP_LINE//=/ = }
read -ra COMP_WORDS <<<"$spaced"
[[ $spaced != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
complete -p fruit-shop | grep -q -- '-F _fruit_shop' || echo "not registered"
_fruit_shop
printf '%s\n' "${COMPREPLY[@]}" | sort`
	for _, c := range completions {
		cmd := exec.Command("bash", "--norc", "-c", script, "bash", file, c.line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		want := strings.ReplaceAll(c.want, " ", "\n")
		got := strings.TrimSpace(string(out))
		if err != nil || got != want && got != c.want {
			t.Errorf("%q: %v, %q, want %q", c.line, err, got, c.want)
		}
	}
}

// TestFishCompletion has fish complete command lines, if it is installed.
func TestFishCompletion(t *testing.T) {
	fish, err := exec.LookPath("fish")
	if err != nil {
		t.Skip("fish is not installed")
	}
	dir, file := install(t, "fish")
	for _, c := range completions {
		cmd := exec.Command(fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2] | string split -f1 \t | string match -rv '^-h$' | sort`, file, "fruit-shop "+c.line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
		out, err := cmd.Output()
		got := strings.TrimSuffix(strings.TrimSpace(string(out)), "/")
		if _, value, ok := strings.Cut(got, "="); ok && strings.Contains(c.line, "=") {
			got = value // fish has the whole word
		}
		if err != nil || got != c.want && got != strings.ReplaceAll(c.want, " ", "\n") {
			t.Errorf("%q: %v, %q, want %q", c.line, err, got, c.want)
		}
	}
}

// TestZshCompletion runs the script in zsh, if it is installed, with functions that print what
// the completion system would get: it needs a terminal.
func TestZshCompletion(t *testing.T) {
	zsh, err := exec.LookPath("zsh")
	if err != nil {
		t.Skip("zsh is not installed")
	}
	dir, file := install(t, "zsh")
	script := `compdef() { [[ "$*" == "_fruit_shop fruit-shop" ]] || print "registered as $*" }
compset() { PREFIX=${PREFIX#*=} }
compadd() { shift; print -l -- ${(M)@:#$PREFIX*} }
_files() { if [[ $1 == -/ ]]; then print -l -- *(/N); else print -l -- $PREFIX*(.N); fi }
_message() { }
_describe() {
	[[ $1 != -o ]] || shift
	local item
	for item in $list; do [[ ${item%%:*} != $PREFIX* ]] || print -- ${item%%:*}; done
}
source $1
words=(${(s: :)2})
[[ $2 != *" " ]] || words+=("")
CURRENT=${#words} PREFIX=${words[-1]}
_fruit_shop | sort`
	for _, c := range completions {
		cmd := exec.Command(zsh, "-f", "-c", script, "zsh", file, "fruit-shop "+c.line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		got := strings.TrimSpace(string(out))
		if err != nil || got != c.want && got != strings.ReplaceAll(c.want, " ", "\n") {
			t.Errorf("%q: %v, %q, want %q", c.line, err, got, c.want)
		}
	}
}
