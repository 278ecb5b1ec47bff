package cmdtest

import (
	"regexp"
	"strings"
)

// Part is a page in docs, or the section of it that has a heading.
type Part struct{ Page, Heading string }

// Newcomers are the parts of docs whose blocks marked sh are run by root: each list in this
// order, in a machine that has nothing but the package or the archive (see test/dist).
var Newcomers = [][]Part{
	{{"start.md", ""}, {"monitor.md", ""}, {"backup.md", "Backups"}, {"backup.md", "Every night"}, {"backup.md", "Restore"}, {"upgrade.md", ""}, {"troubleshooting.md", ""}},
	{{"install.md", "Debian and Ubuntu"}},
	{{"install.md", "The archive"}, {"backup.md", "Without the package"}, {"tuning.md", ""}},
}

// Commands returns the commands of the part in the text of its page.
func (p Part) Commands(page string) (all []string) {
	for _, b := range Blocks(page) {
		if b.Fence == "sh" && (p.Heading == "" || p.Heading == b.Heading) {
			all = append(all, b.Text)
		}
	}
	return all
}

// Block is a block of code in a page: commands, or what is in a file or on a screen.
type Block struct {
	Heading string // the last one before it
	Fence   string // the word after its fence, such as sh; empty if it has none but is indented
	Text    string
}

// First returns the first line of the block.
func (b Block) First() string {
	line, _, _ := strings.Cut(b.Text, "\n")
	return line
}

// blockOrHeading matches a heading, a fenced block, or an indented one.
var blockOrHeading = regexp.MustCompile("(?m)^#+ (.*)$|^```(\\w*)\n((?s:.*?))^```$|((?:^    .*\n)+)")

// Blocks returns the blocks of code of a page.
func Blocks(page string) (all []Block) {
	heading := ""
	for _, m := range blockOrHeading.FindAllStringSubmatch(page, -1) {
		switch {
		case m[1] != "":
			heading = m[1]
		case m[4] != "":
			all = append(all, Block{heading, "", strings.TrimPrefix(strings.ReplaceAll("\n"+m[4], "\n    ", "\n"), "\n")})
		default:
			all = append(all, Block{heading, m[2], m[3]})
		}
	}
	return all
}
