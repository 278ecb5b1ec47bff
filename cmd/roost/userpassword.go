package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"roost/internal/cli"
	"roost/store"
)

// passwordSource returns a password from the terminal or standard input. It stops waiting
// when the context ends.
type passwordSource func(context.Context) (string, error)

// errNoTerminal is the usage error if there is no terminal to ask for a password.
var errNoTerminal = cli.UsageError("cannot ask for the password, because standard input is not a terminal: use --password-stdin")

// source returns the source that the flags select.
func (f *passwordFlags) source(in *os.File) (passwordSource, error) {
	if f.PasswordStdin {
		return func(ctx context.Context) (string, error) { return readPassword(ctx, in) }, nil
	}
	if !term.IsTerminal(int(in.Fd())) {
		return nil, errNoTerminal
	}
	return func(ctx context.Context) (string, error) {
		return askTwice(func(prompt func()) ([]byte, error) { return hidden(ctx, in, prompt) }, os.Stderr)
	}, nil
}

// readPassword reads a password up to the end of the line or of the input.
func readPassword(ctx context.Context, f *os.File) (string, error) {
	in, done, err := readUntil(ctx, f)
	if err != nil {
		return "", err
	}
	defer done()
	line, err := readLine(in, store.MaxPassword+2)
	switch {
	case ctx.Err() != nil:
		return "", errInterrupted
	case err != nil && err != io.EOF:
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(bytes.TrimSuffix(line, []byte{'\r'})), nil
}

// askTwice asks for a password until both inputs agree. read calls its argument when it
// is ready for the prompt.
func askTwice(read func(prompt func()) ([]byte, error), prompt io.Writer) (string, error) {
	ask := func(text string) (string, error) {
		b, err := read(func() { fmt.Fprint(prompt, text) })
		fmt.Fprintln(prompt)
		switch {
		case errors.Is(err, context.Canceled):
			err = errInterrupted
		case errors.Is(err, io.EOF): // Ctrl-D
			err = errors.New("no password entered; nothing changed")
		}
		return string(b), err
	}
	for range 3 {
		first, err := ask("Password: ")
		if err != nil {
			return "", err
		}
		second, err := ask("Repeat password: ")
		if err != nil {
			return "", err
		}
		if first == second {
			return first, nil
		}
		fmt.Fprintln(prompt, "The passwords do not match.")
	}
	return "", errors.New("the passwords did not match three times; nothing changed")
}

// askPassword returns a password that can be used.
func askPassword(ctx context.Context, ask passwordSource) (string, error) {
	password, err := ask(ctx)
	switch {
	case err != nil:
	case len(password) > store.MaxPassword:
		err = errLongPassword
	default:
		err = store.CheckPassword(password)
	}
	return password, err
}
