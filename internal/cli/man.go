package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roost/internal/version"
)

// ManCmd is the command that writes manual pages.
type ManCmd struct {
	Dir string `arg:"" type:"path" help:"Directory to write the pages to; it is created if necessary."`
}

// Help is shown by kong.
func (ManCmd) Help() string {
	return "One page in section 1 for the program and one for each command, such as roost-user-add.1. Packages contain them."
}

// Run writes the pages.
func (c ManCmd) Run(app *kong.Kong) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	release, _ := version.Get()
	for name, page := range ManPages(app.Model.Node, release, version.Date()) {
		if err := os.WriteFile(filepath.Join(c.Dir, name), page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ManPages returns the manual pages of a program by their file names, in the man macros of
// troff (man(7)). date is 2006-01-02, or empty.
func ManPages(app *kong.Node, release, date string) map[string][]byte {
	pages := make(map[string][]byte)
	eachCommand(app, func(path []string, n *kong.Node) {
		words := append([]string{app.Name}, path...)
		m := manual{app: app, n: n, words: words, title: strings.Join(words, "-")}
		m.write(release, date)
		pages[m.title+".1"] = m.b.Bytes()
	})
	return pages
}

// manual is a page that is being written.
type manual struct {
	app, n *kong.Node
	words  []string // such as roost, user and add
	title  string   // such as roost-user-add
	b      bytes.Buffer
}

func (m *manual) write(release, date string) {
	fmt.Fprintf(&m.b, ".\\\" Made from the commands of %s.\n.TH %s 1 %s %s\n", m.app.Name, strings.ToUpper(m.title), `"`+date+`"`, argument(m.app.Name+" "+release))
	m.section("NAME")
	m.b.WriteString(m.title + " \\- " + roff(summary(m.n.Help)) + "\n")
	m.section("SYNOPSIS")
	m.b.WriteString(".B " + roff(strings.Join(m.words, " ")) + "\n")
	if len(visible(m.n)) > 0 {
		m.b.WriteString(".I command\n")
	}
	m.b.WriteString(roff("[flags]") + "\n")
	for _, a := range m.n.Positional {
		m.b.WriteString(roff(a.Summary()) + "\n")
	}
	m.section("DESCRIPTION")
	m.paragraphs(m.n.Help + "\n\n" + m.n.Detail)
	m.arguments()
	m.flags()
	m.commands()
	if m.n == m.app {
		m.common()
	}
	m.section("SEE ALSO")
	m.b.WriteString(strings.Join(m.related(), ",\n") + "\n")
}

func (m *manual) section(name string) { m.b.WriteString(".SH " + name + "\n") }

// paragraphs writes a text with empty lines between paragraphs.
func (m *manual) paragraphs(text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			m.b.WriteString(".PP\n")
		}
		m.b.WriteString(roff(strings.TrimSpace(p)) + "\n")
	}
}

func (m *manual) arguments() {
	if len(m.n.Positional) == 0 {
		return
	}
	m.section("ARGUMENTS")
	for _, a := range m.n.Positional {
		m.b.WriteString(".TP\n.I " + roff(a.Name) + "\n" + roff(a.Help) + "\n")
	}
}

// flags writes the flags by their groups.
func (m *manual) flags() {
	m.section("OPTIONS")
	title := ""
	for _, f := range grouped(m.n) {
		if next := groupTitle(f); next != title {
			title = next
			m.b.WriteString(".SS " + roff(title) + "\n")
		}
		m.flag(f)
	}
}

func (m *manual) flag(f *kong.Flag) {
	m.b.WriteString(".TP\n.BI " + roff("--"+f.Name))
	if !f.IsBool() {
		m.b.WriteString("= " + argument(f.FormatPlaceHolder()))
	}
	m.b.WriteString("\n" + roff(machine.ReplaceAllString(f.Help, "")) + "\n")
	// Switches of single commands have variables only because kong gives one to every flag.
	if len(f.Envs) > 0 && (!f.IsBool() || f.Tag.Has("sets")) {
		m.b.WriteString("Environment: " + roff(f.Envs[0]) + ".\n")
	}
}

// machine matches what is true of the machine on which the page is made only.
var machine = regexp.MustCompile(`, here [0-9]+`)

func (m *manual) commands() {
	children := visible(m.n)
	if len(children) == 0 {
		return
	}
	m.section("COMMANDS")
	for _, child := range children {
		m.b.WriteString(".TP\n.BR " + roff(m.title+"-"+child.Name) + " (1)\n" + roff(child.Help) + "\n")
	}
}

// common is what applies to all commands.
func (m *manual) common() {
	m.section("EXIT STATUS")
	for _, s := range [][2]string{
		{"0", "The command has done what it should."},
		{fmt.Sprint(ExitFailure), "The command has failed; the last line on standard error says why."},
		{fmt.Sprint(ExitUsage), "The command line, the environment or the configuration file is wrong."},
	} {
		m.b.WriteString(".TP\n" + s[0] + "\n" + roff(s[1]) + "\n")
	}
}

// related returns the page of the command above this one, and those below or beside it.
func (m *manual) related() (all []string) {
	refer := func(words ...string) { all = append(all, ".BR "+roff(strings.Join(words, "-"))+" (1)") }
	of, words := m.n, m.words
	if m.n != m.app {
		above := words[:len(words)-1]
		refer(above...)
		if len(visible(m.n)) == 0 {
			of, words = m.n.Parent, above
		}
	}
	for _, child := range visible(of) {
		if child != m.n {
			refer(append(slices.Clone(words), child.Name)...)
		}
	}
	return all
}

// roff returns a text for troff: as it is, with minus signs that can be searched and copied.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "\n", " ").Replace(text)
	if text != "" && (text[0] == '.' || text[0] == '\'') {
		text = `\&` + text
	}
	return text
}

// argument returns a text as one argument of a macro.
func argument(text string) string { return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"` }
