package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"roost/store"
)

// passwordSource gives a password that was typed or read.
type passwordSource func() (string, error)

// errNoTerminal is a usage error: there is nobody to ask.
var errNoTerminal = usageError("the password cannot be asked for, since the standard input is no terminal: use --password-stdin")

// usageError is a mistake on the command line that only shows when the command
// runs. It ends the program with status 2, as those do that show at once.
type usageError string

func (e usageError) Error() string { return string(e) }

// ExitCode is asked by kong.
func (e usageError) ExitCode() int { return 2 }

// source is where the password comes from.
func (f *passwordFlags) source(in *os.File) (passwordSource, error) {
	if f.PasswordStdin {
		return func() (string, error) { return readPassword(in) }, nil
	}
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		return nil, errNoTerminal
	}
	return func() (string, error) {
		return askTwice(func() ([]byte, error) { return term.ReadPassword(fd) }, os.Stderr)
	}, nil
}

// maxPassword is the largest password in bytes.
const maxPassword = 1024

// readPassword reads a password that ends with the line or the input.
func readPassword(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxPassword+3)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return trimNewline(line), nil
}

func trimNewline(s string) string {
	if n := len(s); n > 0 && s[n-1] == '\n' {
		s = s[:n-1]
	}
	if n := len(s); n > 0 && s[n-1] == '\r' {
		s = s[:n-1]
	}
	return s
}

// askTwice asks for a password until it was typed twice alike.
func askTwice(read func() ([]byte, error), prompt io.Writer) (string, error) {
	ask := func(text string) (string, error) {
		fmt.Fprint(prompt, text)
		b, err := read()
		fmt.Fprintln(prompt)
		return string(b), err
	}
	for range 3 {
		first, err := ask("Password: ")
		if err != nil {
			return "", err
		}
		second, err := ask("Again: ")
		if err != nil {
			return "", err
		}
		if first == second {
			return first, nil
		}
		fmt.Fprintln(prompt, "They are not the same.")
	}
	return "", errors.New("the passwords were not the same three times: nothing is changed")
}

// askCredentials makes credentials of a password. The password itself is kept
// nowhere.
func askCredentials(ask passwordSource, iterations int) (store.Credentials, error) {
	password, err := ask()
	if err != nil {
		return store.Credentials{}, err
	}
	if len(password) > maxPassword {
		return store.Credentials{}, fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return store.NewCredentials(password, iterations)
}
