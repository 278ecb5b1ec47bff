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
	title := ""
	for i, f := range grouped(n) {
		if next := groupTitle(f); i == 0 || next != title {
			title = next
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
	titles := []string{""}
	of := make(map[string][]*kong.Flag)
	for _, f := range flagsOf(n) {
		title := groupTitle(f)
		if title != "" && of[title] == nil {
			titles = append(titles, title)
		}
		of[title] = append(of[title], f)
	}
	for _, title := range titles {
		all = append(all, of[title]...)
	}
	return all
}

// groupTitle returns the title of a flag's group; "" if it has none. Each flag has a Group of its
// own, so groups cannot be compared by their pointers.
func groupTitle(f *kong.Flag) string {
	if f.Group == nil {
		return ""
	}
	return strings.TrimSuffix(f.Group.Title, ":")
}

// paragraph returns a text for Markdown as one line.
func paragraph(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(strings.Join(strings.Fields(text), " "))
}

// cell returns a text for a cell of a table.
func cell(text string) string { return strings.ReplaceAll(paragraph(text), "|", `\|`) }
