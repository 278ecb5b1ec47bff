package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// Sources says where in a config file flags were set: name, line.
type Sources map[string]string

// aFlag is a flag in a message.
var aFlag = regexp.MustCompile(`--[a-z][a-z0-9-]*`)

// explain turns a mistake in the flags into one line: what is wrong, where it was
// set if not on the command line, and what shows the help.
func (s Sources) explain(p Program, ctx *kong.Context, args []string, err error) string {
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	help := []string{"--help"}
	if ctx != nil {
		envs := make(map[string][]string)
		for _, f := range ctx.Flags() {
			envs["--"+f.Name] = f.Envs
		}
		told := make(map[string]bool)
		text = aFlag.ReplaceAllStringFunc(text, func(flag string) string {
			where := s.where(flag, envs[flag], args)
			if where == "" || told[flag] || strings.Contains(text, where) {
				return flag
			}
			told[flag] = true
			return flag + " (" + where + ")"
		})
		if n := ctx.Selected(); n != nil {
			help = append(strings.Fields(n.Path()), help...)
		}
	}
	return text + "; see: " + p.Suggest(help...)
}

// where is the place at which a flag was set, if not on the command line.
func (s Sources) where(flag string, envs, args []string) string {
	for _, a := range args {
		if name, _, _ := strings.Cut(a, "="); name == flag || name == "--no-"+flag[2:] {
			return ""
		}
	}
	for _, env := range envs {
		if _, ok := os.LookupEnv(env); ok {
			return env
		}
	}
	return s[flag[2:]]
}

// DidYouMean names the most similar word if there is one that a slip of the
// keyboard may have changed.
func DidYouMean(word string, known []string) string {
	best, least := "", max(2, len(word)/4)+1
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is the number of bytes that have to be added, left out or replaced to
// turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
