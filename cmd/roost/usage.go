package main

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roost/internal/cli"
	"roost/server"
)

// flagOf returns the name of the flag that sets a field of the server's configuration,
// "" if none does.
func (c *serveFlags) flagOf(path string) string {
	for _, s := range c.settings() {
		if s.tag.Get("sets") == path {
			return s.flag
		}
	}
	return ""
}

// validConfig returns the server's configuration, or a usage error that lists all
// mistakes in the flags.
func (c *serveFlags) validConfig(log *slog.Logger) (server.Config, error) {
	unknown := c.findCredentials()
	cfg := c.serverConfig(log)
	var wrong []string
	told := make(map[string]bool)
	for _, m := range append(unknown, c.mistakes()...) {
		told[m.flag] = true
		wrong = append(wrong, m.text)
	}
	for _, err := range split(cfg.Validate()) {
		text := err.Error()
		var field *server.FieldError
		if errors.As(err, &field) {
			if flag := c.flagOf(field.Field); told[flag] {
				continue
			} else if flag != "" {
				text = "--" + flag + ": " + text
			}
		}
		wrong = append(wrong, text)
	}
	if c.Pprof != "" {
		if err := profileAddr(c.Pprof); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		return cfg, cli.UsageError(strings.Join(wrong, "; "))
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

// unknownEnv returns the environment variables ROOST_… that do not belong to a flag, each
// with the most similar name. They are not an error: Kubernetes sets variables with such
// names for a service called roost.
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
			unknown = append(unknown, name+cli.DidYouMean(name, known))
		}
	}
	slices.Sort(unknown)
	return unknown
}
