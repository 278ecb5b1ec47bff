package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// A flag that was renamed keeps its former name for one release: as an alias on the
// command line, in the environment and in the config file. Help does not show it.

// oldEnvs has flags read the variables of their former names, too; the variable of the
// present name takes precedence.
func oldEnvs(k *kong.Kong) error {
	return kong.Visit(k.Model.Node, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok && len(f.Tag.Envs) > 0 {
			for _, alias := range f.Aliases {
				f.Tag.Envs = append(f.Tag.Envs, "ROOST_"+strings.ToUpper(strings.ReplaceAll(alias, "-", "_")))
			}
			f.Envs = f.Tag.Envs
		}
		return next(nil)
	})
}

// helpOf returns the help of a flag, with the variable of its present name only.
func helpOf(v *kong.Value) string {
	if len(v.Tag.Envs) < 2 {
		return kong.DefaultHelpValueFormatter(v)
	}
	shown, tag := *v, *v.Tag
	tag.Envs = tag.Envs[:1]
	shown.Tag = &tag
	return kong.DefaultHelpValueFormatter(&shown)
}
