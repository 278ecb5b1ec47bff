package admin

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"roost/internal/ownfile"
)

// Scope is what a request needs, and what a token allows.
type Scope string

// The scopes. ScopeWrite includes ScopeRead.
const (
	ScopeNone  Scope = "none" // of routes: no token is needed
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write"
)

// includes reports whether a token of this scope allows a request that needs another one.
func (s Scope) includes(need Scope) bool {
	return need == ScopeNone || s == ScopeWrite || s == need && s == ScopeRead
}

// token is a line of a token file.
type token struct {
	name  string
	scope Scope
	hash  [sha256.Size]byte
}

// maxTokens limits a token file, in bytes.
const maxTokens = 1 << 20

// The token file must not be readable by everybody, or writable by anyone but its owner.
const tokenMode = fs.FileMode(0o027)

var tokenName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// parseTokens reads lines of the form "NAME SCOPE SHA256". Empty lines and those that begin
// with # are comments.
func parseTokens(text []byte) (all []token, err error) {
	n, names := 0, make(map[string]bool)
	for line := range bytes.Lines(text) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d: want a name, a scope and a hash, as roost admin token add writes them", n)
		}
		t := token{name: fields[0], scope: Scope(fields[1])}
		hash, err := hex.DecodeString(fields[2])
		switch {
		case !tokenName.MatchString(t.name):
			return nil, fmt.Errorf("line %d: a name has up to 64 letters, digits, dots, dashes and underscores", n)
		case t.scope != ScopeRead && t.scope != ScopeWrite:
			return nil, fmt.Errorf("line %d: the scope must be read or write", n)
		case err != nil || copy(t.hash[:], hash) != len(t.hash) || len(hash) != len(t.hash):
			return nil, fmt.Errorf("line %d: the hash must have 64 hexadecimal digits", n)
		}
		if names[t.name] {
			return nil, fmt.Errorf("line %d: there is a token %s already", n, t.name)
		}
		names[t.name] = true
		all = append(all, t)
	}
	return all, nil
}

// readTokens reads a token file.
func readTokens(name string) (all []token, state fs.FileInfo, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if state, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if state.Mode().Perm()&tokenMode != 0 {
		return nil, nil, fmt.Errorf("%s has the mode %v: others can read or change it; chmod it to 0600 or 0640", name, state.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTokens+1))
	if err == nil && len(text) > maxTokens {
		err = errors.New("it is larger than 1 MiB")
	}
	if err == nil {
		all, err = parseTokens(text)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, state, nil
}

// tokens are the tokens of a file, which is read again when it has changed: a token that
// was removed ends to be valid at once. While the file cannot be read, none is valid.
type tokens struct {
	file string
	log  *slog.Logger

	mu    sync.Mutex
	all   []token
	state fs.FileInfo // of the file as it was read; nil: it could not be
	err   string      // that was logged last
}

// openTokens reads a token file.
func openTokens(file string, log *slog.Logger) (*tokens, error) {
	t := &tokens{file: file, log: log}
	var err error
	t.all, t.state, err = readTokens(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no token file %s: make a token with roost admin token add", file)
	}
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	return t, nil
}

// find returns the token with this secret.
func (t *tokens) find(secret string) (token, bool) { return t.withHash(sha256.Sum256([]byte(secret))) }

// withHash returns the token whose secret has this hash. All hashes are compared, in
// constant time.
func (t *tokens) withHash(hash [sha256.Size]byte) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.update()
	var found token
	ok := false
	for i := range t.all {
		if subtle.ConstantTimeCompare(t.all[i].hash[:], hash[:]) == 1 {
			found, ok = t.all[i], true
		}
	}
	return found, ok
}

// update reads the file if it has changed. Under mu.
func (t *tokens) update() {
	now, err := os.Stat(t.file)
	if err == nil && t.state != nil && os.SameFile(now, t.state) && now.ModTime().Equal(t.state.ModTime()) &&
		now.Size() == t.state.Size() && now.Mode() == t.state.Mode() {
		return
	}
	t.all, t.state, err = readTokens(t.file)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != t.err && text != "" {
		t.log.Error("the token file cannot be used: no token is valid", "file", t.file, "err", err)
	}
	t.err = text
}

// AddToken adds a token to a file, which is made if it is missing, and returns the secret.
// It is kept nowhere.
func AddToken(file, name string, scope Scope) (secret string, err error) {
	if !tokenName.MatchString(name) {
		return "", errors.New("the name of a token has up to 64 letters, digits, dots, dashes and underscores")
	}
	b := make([]byte, 32)
	rand.Read(b)
	secret = "roost_" + base64.RawURLEncoding.EncodeToString(b)
	hash := sha256.Sum256([]byte(secret))
	return secret, editTokens(file, func(text []byte) ([]byte, error) {
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		return fmt.Appendf(text, "%s %s %x\n", name, scope, hash), nil
	})
}

// errNoToken says that there is no token of a name.
var errNoToken = errors.New("there is no token of this name")

// RemoveToken removes a token from a file: it is no longer valid.
func RemoveToken(file, name string) error {
	return editTokens(file, func(text []byte) ([]byte, error) {
		var kept []byte
		found := false
		for line := range bytes.Lines(text) {
			if fields := strings.Fields(string(line)); len(fields) > 0 && fields[0] == name {
				found = true
				continue
			}
			kept = append(kept, line...)
		}
		if !found {
			return nil, errNoToken
		}
		return kept, nil
	})
}

// TokenInfo is what is known of a token.
type TokenInfo struct {
	Name  string `json:"name"`
	Scope Scope  `json:"scope"`
}

// Tokens lists the tokens of a file; none if there is no file.
func Tokens(file string) ([]TokenInfo, error) {
	all, _, err := readTokens(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list := []TokenInfo{}
	for _, t := range all {
		list = append(list, TokenInfo{t.name, t.scope})
	}
	return list, nil
}

// editTokens changes a token file. The result must be valid. The directory is locked
// meanwhile: of two changes at a time one would be lost, such as the removal of a token.
func editTokens(file string, edit func(text []byte) ([]byte, error)) error {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	text, err := os.ReadFile(file)
	mode := fs.FileMode(0o600)
	if err == nil {
		var info fs.FileInfo
		if _, info, err = readTokens(file); err == nil {
			mode = info.Mode().Perm()
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		text, err = edit(text)
	}
	if err == nil {
		_, err = parseTokens(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return ownfile.Write(file, text, mode)
}
