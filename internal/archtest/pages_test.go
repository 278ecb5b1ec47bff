package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is a Markdown file.
type page struct {
	name string // relative to the root of the repository, with slashes
	text string
}

// pages reads README.md, CONTRIBUTING.md and all pages in other directories. It omits
// CHANGELOG.md, which names things of the past.
func pages(t *testing.T) (all []page) {
	t.Helper()
	const root = "../.."
	for _, name := range files(t, root) {
		if !strings.HasSuffix(name, ".md") || name == "CHANGELOG.md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page{name, string(text)})
	}
	if len(all) < 15 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

// files returns the files below root, without hidden directories.
func files(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, file)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: the targets of links to pages, files, directories and headings exist.
func TestLinks(t *testing.T) {
	checked := 0
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			target, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			checked++
			file := filepath.Join("../..", path.Dir(p.name), target)
			if target == "" {
				file = filepath.Join("../..", p.name)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the target of the link %s does not exist", p.name, m[1])
			} else if heading != "" && !slices.Contains(anchors(t, file), heading) {
				t.Errorf("%s: the heading of the link %s does not exist", p.name, m[1])
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d links were found: the test no longer finds them", checked)
	}
}

var headingLine = regexp.MustCompile(`(?m)^#+ (.+)$`)

// anchors returns the link anchors of a page's headings.
func anchors(t *testing.T, file string) (names []string) {
	t.Helper()
	for _, text := range matches(t, headingLine, file) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, text))
	}
	return names
}

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	fileName = regexp.MustCompile(`^[A-Za-z0-9_./-]+\.(go|md|sh|s|py|txt|toml|service|conf|crt|key)$`)
)

// elsewhere are files that pages name and that are not in the repository.
var elsewhere = []string{"selfsigned.crt", "selfsigned.key", "pg_hba.conf"}

// TestNamedFiles: files that pages name exist, by their full path or, on a page about one
// package, by the end of it.
func TestNamedFiles(t *testing.T) {
	all := files(t, "../..")
	checked := 0
	for _, p := range pages(t) {
		for _, m := range quoted.FindAllStringSubmatch(p.text, -1) {
			name := m[1]
			if !fileName.MatchString(name) || slices.Contains(elsewhere, name) {
				continue
			}
			checked++
			if !slices.ContainsFunc(all, func(file string) bool {
				return file == name || strings.HasSuffix(file, "/"+strings.TrimPrefix(name, "./"))
			}) {
				t.Errorf("%s names the file %s, which does not exist", p.name, name)
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d names of files were found: the test no longer finds them", checked)
	}
}
