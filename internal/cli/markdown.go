package cli

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Markdown returns a reference of all commands of a program and their flags.
func Markdown(app *kong.Node) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Commands of %s\n\n%s\n", app.Name, paragraph(app.Help))
	b.WriteString("\n| command | |\n|---|---|\n")
	eachCommand(app, func(path []string, n *kong.Node) {
		if len(path) > 0 && len(visible(n)) == 0 {
			name := strings.Join(append([]string{app.Name}, path...), " ")
			fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", name, strings.ReplaceAll(name, " ", "-"), cell(n.Help))
		}
	})
	eachCommand(app, func(path []string, n *kong.Node) {
		if len(path) > 0 && len(visible(n)) == 0 {
			section(&b, append([]string{app.Name}, path...), n)
		}
	})
	return b.Bytes()
}

// section writes the section of a command.
func section(b *bytes.Buffer, words []string, n *kong.Node) {
	name := strings.Join(words, " ")
	fmt.Fprintf(b, "\n## %s\n\n%s\n", name, paragraph(n.Help))
	for _, p := range strings.Split(strings.TrimSpace(n.Detail), "\n\n") {
		if p != "" {
			fmt.Fprintf(b, "\n%s\n", paragraph(p))
		}
	}
	if len(n.Positional) > 0 {
		b.WriteString("\n| argument | |\n|---|---|\n")
		for _, a := range n.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", a.Summary(), cell(a.Help))
		}
	}
	var group *kong.Group
	for i, f := range grouped(n) {
		if i == 0 || f.Group != group {
			group = f.Group
			title := ""
			if group != nil {
				title = strings.TrimSuffix(group.Title, ":")
			}
			fmt.Fprintf(b, "\n| flag | %s |\n|---|---|\n", title)
		}
		text := "--" + f.Name
		if !f.IsBool() {
			text += "=" + f.FormatPlaceHolder()
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", text, cell(machine.ReplaceAllString(f.Help, "")))
	}
}

// grouped returns the flags of a command by their groups, as the help does: those without a
// group first.
func grouped(n *kong.Node) (all []*kong.Flag) {
	var groups []*kong.Group
	of := make(map[*kong.Group][]*kong.Flag)
	for _, f := range flagsOf(n) {
		if f.Group != nil && of[f.Group] == nil {
			groups = append(groups, f.Group)
		}
		of[f.Group] = append(of[f.Group], f)
	}
	all = of[nil]
	for _, g := range groups {
		all = append(all, of[g]...)
	}
	return all
}

// paragraph returns a text for Markdown as one line.
func paragraph(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(strings.Join(strings.Fields(text), " "))
}

// cell returns a text for a cell of a table.
func cell(text string) string { return strings.ReplaceAll(paragraph(text), "|", `\|`) }
