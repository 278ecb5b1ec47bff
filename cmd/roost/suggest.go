package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// suggest is a command line that runs this program as it is printed, in the same
// directory. data is the data directory, which is left out where it is the default.
func suggest(data string, args ...string) string {
	words := append([]string{programName()}, args...)
	if data != "" && data != defaultData() {
		words = append(words, "--data", data)
	}
	for i := range words {
		if i > 0 {
			words[i] = quote(words[i])
		}
	}
	return strings.Join(words, " ")
}

// programName is what a person types to run this program: roost where the shell
// finds it under that name, go run under that, and else the name under which it
// was started.
func programName() string {
	self, err := os.Executable()
	if err != nil {
		return "roost"
	}
	return nameOf(self, os.Args[0])
}

func nameOf(self, started string) string {
	if found, err := exec.LookPath("roost"); err == nil && sameFile(found, self) {
		return "roost"
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		// The program is deleted when it ends.
		if _, err := os.Stat(filepath.Join("cmd", "roost", "main.go")); err == nil {
			return "go run ./cmd/roost"
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

// quote makes a text one word for a shell.
func quote(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./@:=,+%"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
