package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// Sources returns where in the config file a flag was set: file name and line.
type Sources map[string]string

// aFlag matches a flag in a message.
var aFlag = regexp.MustCompile(`--[a-z][a-z0-9-]*`)

// explain formats a mistake in the flags as one line: what is wrong, where it was set if
// not on the command line, and the command that prints the help.
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

// where returns the place where a flag was set, if not on the command line.
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

// DidYouMean suggests the most similar word if it is close enough to be a typo.
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

// distance returns the number of bytes to add, remove or replace to turn a into b
// (Levenshtein distance).
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
