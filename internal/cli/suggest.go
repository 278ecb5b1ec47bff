package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// Suggest returns a command line for the program that works as printed, in the same
// directory.
func (p Program) Suggest(args ...string) string {
	return p.typed() + " " + Quote(args...)
}

// typed returns what to type to run the program: its name if the shell finds it under
// that name, go run under go run, otherwise the name under which it was started.
func (p Program) typed() string {
	self, err := os.Executable()
	if err != nil {
		return p.Name
	}
	return p.nameOf(self, os.Args[0])
}

func (p Program) nameOf(self, started string) string {
	if found, err := exec.LookPath(p.Name); err == nil && sameFile(found, self) {
		return p.Name
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		// go run deletes the binary when it ends.
		if _, err := os.Stat(filepath.Join("cmd", p.Name, "main.go")); err == nil {
			return "go run ./cmd/" + p.Name
		}
		if info, ok := debug.ReadBuildInfo(); ok {
			return "go run " + info.Path
		}
	}
	if strings.ContainsRune(started, filepath.Separator) {
		return quote(started)
	}
	return quote(self)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// Quote quotes each word for a shell and joins them with spaces.
func Quote(words ...string) string {
	quoted := make([]string, len(words))
	for i := range words {
		quoted[i] = quote(words[i])
	}
	return strings.Join(quoted, " ")
}

// quote quotes a word for a shell.
func quote(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./@:=,+%"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
