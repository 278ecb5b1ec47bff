package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roost/server"
)

// flagOf is the flag of each field of the server's configuration that can be wrong.
var flagOf = map[string]string{
	"Domains": "domain", "C2S": "c2s", "C2STLS": "c2s-tls", "DataDir": "data", "TLSCert": "tls-cert", "TLSKey": "tls-key",
	"MaxStanza": "max-stanza", "Outbox": "outbox", "UnauthMemory": "unauth-memory", "OfflineBytes": "offline-bytes", "OfflineShare": "offline-share",
}

// validConfig is the server's configuration, or a usage error with all that is
// wrong with the flags.
func (c *serveFlags) validConfig(log *slog.Logger) (server.Config, error) {
	cfg := c.serverConfig(log)
	var wrong []string
	told := make(map[string]bool)
	for _, m := range c.mistakes() {
		told[m.flag] = true
		wrong = append(wrong, m.text)
	}
	for _, err := range split(cfg.Validate()) {
		text := err.Error()
		var field *server.FieldError
		if errors.As(err, &field) && flagOf[field.Field] != "" {
			if told[flagOf[field.Field]] {
				continue
			}
			text = "--" + flagOf[field.Field] + ": " + text
		}
		wrong = append(wrong, text)
	}
	if c.Pprof != "" {
		if err := profileAddr(c.Pprof); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		return cfg, usageError(strings.Join(wrong, "; "))
	}
	return cfg, nil
}

// split returns the errors that were joined, none for nil.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		return joined.Unwrap()
	}
	return []error{err}
}

// sources says where in a config file flags were set: name, line.
type sources map[string]string

// aFlag is a flag in a message.
var aFlag = regexp.MustCompile(`--[a-z][a-z0-9-]*`)

// explain turns a mistake in the flags into one line: what is wrong, where it was
// set if not on the command line, and what shows the help.
func (s sources) explain(ctx *kong.Context, args []string, err error) string {
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
	return text + "; see: " + suggest("", help...)
}

// where is the place at which a flag was set, if not on the command line.
func (s sources) where(flag string, envs, args []string) string {
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

// unknownEnv are the variables ROOST_… in the environment that are no flag's, each
// with the most similar one. They are no error: Kubernetes sets variables of such
// names for a service that is called roost.
func unknownEnv(app *kong.Node, environ []string) (unknown []string) {
	var known []string
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			known = append(known, f.Envs...)
		}
		return next(nil)
	})
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "ROOST_") && !slices.Contains(known, name) {
			unknown = append(unknown, name+didYouMean(name, known))
		}
	}
	slices.Sort(unknown)
	return unknown
}

// didYouMean names the most similar word if there is one that a slip of the
// keyboard may have changed.
func didYouMean(word string, known []string) string {
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
