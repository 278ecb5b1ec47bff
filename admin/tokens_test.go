package admin

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"roost/admin/api"
)

// remote starts a server with a TCP address and a token file, and returns what makes
// clients of it.
func remote(t *testing.T, tokens string, log *slog.Logger) func(token string) *api.Client {
	t.Helper()
	s, _ := start(t, func(cfg *Config, b *Backend) {
		cfg.Addr, cfg.Tokens = "127.0.0.1:0", tokens
		b.Logger = log
	})
	return func(token string) *api.Client {
		c, err := api.Remote("http://"+s.Addr().String(), token, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
}

func addToken(t *testing.T, file, name string, scope Scope) string {
	t.Helper()
	secret, err := AddToken(file, name, scope)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestTokens: what a request without a valid token is told, that a token is valid as soon
// and as long as it is in the file, and that failures are limited, logged without secrets,
// and lock nobody out.
func TestTokens(t *testing.T) {
	var log strings.Builder
	file := filepath.Join(t.TempDir(), TokensName)
	first := addToken(t, file, "first", ScopeRead)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	client := remote(t, file, slog.New(slog.NewTextHandler(&log, nil)))
	get := func(token string) error { return client(token).Get(t.Context(), api.PathStatus, nil, nil) }

	wantError(t, get(""), 401, api.CodeUnauthorized, "no token")
	wantError(t, get("roost_wrong"), 401, api.CodeUnauthorized, "unknown token")
	wantError(t, client("").Get(t.Context(), "/v1/nothing", nil, nil), 401, api.CodeUnauthorized, "no token")
	if err := get(first); err != nil {
		t.Error(err)
	}
	// The health checks need no token, but a wrong one is refused.
	if err := client("").Get(t.Context(), api.PathHealth, nil, new(api.Health)); err != nil {
		t.Error(err)
	}
	wantError(t, client("roost_wrong").Get(t.Context(), api.PathReady, nil, new(api.Health)), 401, api.CodeUnauthorized, "unknown")

	second := addToken(t, file, "second", ScopeWrite)
	if err := get(second); err != nil {
		t.Errorf("a token that was added: %v", err)
	}
	if all, err := Tokens(file); err != nil || len(all) != 2 || all[1] != (TokenInfo{"second", ScopeWrite}) {
		t.Errorf("%v %v", all, err)
	}
	if err := RemoveToken(file, "second"); err != nil {
		t.Fatal(err)
	}
	wantError(t, get(second), 401, api.CodeUnauthorized, "unknown token")
	if err := RemoveToken(file, "second"); err == nil {
		t.Error("a token was removed twice")
	}
	if _, err := AddToken(file, "first", ScopeRead); err == nil {
		t.Error("two tokens have one name")
	}

	for range maxRefusals {
		_ = get("roost_wrong")
	}
	wantError(t, get("roost_wrong"), 429, api.CodeTooMany, "too many")
	if err := get(first); err != nil {
		t.Errorf("others have locked out a valid token: %v", err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != maxRefusals {
		t.Errorf("%d lines, want %d:\n%s", n, maxRefusals, &log)
	}
	if strings.Contains(log.String(), "roost_") {
		t.Errorf("a secret is in the log:\n%s", &log)
	}

	// While the file cannot be trusted, no token is valid.
	if err := os.Chmod(file, 0o604); err != nil {
		t.Fatal(err)
	}
	wantError(t, get(first), 429, api.CodeTooMany, "too many")
	if !strings.Contains(log.String(), "no token is valid") {
		t.Errorf("not logged:\n%s", &log)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := get(first); err != nil {
		t.Error(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	wantError(t, get(first), 429, api.CodeTooMany, "too many")
}

// TestScopes: what scopes allow.
func TestScopes(t *testing.T) {
	for _, c := range []struct {
		have, need Scope
		want       bool
	}{
		{ScopeRead, ScopeNone, true}, {ScopeRead, ScopeRead, true}, {ScopeRead, ScopeWrite, false},
		{ScopeWrite, ScopeNone, true}, {ScopeWrite, ScopeRead, true}, {ScopeWrite, ScopeWrite, true},
		{"", ScopeRead, false}, {"", ScopeWrite, false}, {"other", ScopeRead, false},
	} {
		if got := c.have.includes(c.need); got != c.want {
			t.Errorf("%q for %q: %v", c.have, c.need, got)
		}
	}
	file := filepath.Join(t.TempDir(), TokensName)
	token := addToken(t, file, "reader", ScopeRead)
	s, _ := start(t, func(cfg *Config, _ *Backend) { cfg.Addr, cfg.Tokens = "127.0.0.1:0", file })
	r, err := http.NewRequest(http.MethodGet, "http://roost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "bearer "+token)
	if actor, err := s.authorize(nil, r, ScopeRead, "test"); actor != "token reader" || err != nil {
		t.Errorf("%s %v", actor, err)
	}
	_, err = s.authorize(nil, r, ScopeWrite, "test")
	wantError(t, err, 403, api.CodeForbidden, "the token reader has the scope read, and this request needs write")
}

func TestTokenFiles(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	f := func(text string, mode fs.FileMode, want string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), TokensName)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := openTokens(file, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("", 0o600, "")
	f("# a comment\n\na read "+hash+"\nb write "+strings.ToUpper(hash), 0o640, "")
	f("a read "+hash, 0o644, "chmod it")
	f("a read "+hash, 0o660, "chmod it")
	f("a read", 0o600, "line 1: want a name")
	f("a admin "+hash, 0o600, "read or write")
	f("a read "+hash[2:], 0o600, "64 hexadecimal digits")
	f("a read "+hash+"00", 0o600, "64 hexadecimal digits")
	f("a read "+hash[2:]+"zz", 0o600, "64 hexadecimal digits")
	f("a/b read "+hash, 0o600, "a name has")
	f("a read "+hash+"\na read "+hash, 0o600, "line 2: there is a token a already")
	f(strings.Repeat("#\n", maxTokens), 0o600, "larger than 1 MiB")
	if _, err := openTokens(filepath.Join(t.TempDir(), "none"), nil); err == nil || !strings.Contains(err.Error(), "roost admin token add") {
		t.Errorf("no file: %v", err)
	}
	if _, err := AddToken(filepath.Join(t.TempDir(), "x"), "a b", ScopeRead); err == nil {
		t.Error("a name with a space")
	}
}

// TestPublicAddress: without TLS only loopback is listened on.
func TestPublicAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), TokensName)
	addToken(t, file, "a", ScopeRead)
	s := &Server{cfg: Config{Addr: ":0", Tokens: file}, b: Backend{Socket: filepath.Join(t.TempDir(), "s")}}
	if _, err := s.listen(); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("%v", err)
	}
	if _, err := net.Dial("unix", s.b.Socket); err == nil {
		t.Error("it still listens on the socket")
	}
}

// TestUnusualPaths: whatever a request asks for, without a token it learns nothing, and it
// gets the same kind of error.
func TestUnusualPaths(t *testing.T) {
	file := filepath.Join(t.TempDir(), TokensName)
	token := addToken(t, file, "a", ScopeRead)
	s, _ := start(t, func(cfg *Config, _ *Backend) { cfg.Addr, cfg.Tokens = "127.0.0.1:0", file })
	f := func(request, token string, status int, code api.ErrorCode) {
		t.Helper()
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		header := ""
		if token != "" {
			header = "Authorization: Bearer " + token + "\r\n"
		}
		if _, err := io.WriteString(c, request+" HTTP/1.1\r\nHost: roost\r\nConnection: close\r\n"+header+"\r\n"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(text), fmt.Sprint("HTTP/1.1 ", status)) || !strings.Contains(string(text), `"code": "`+string(code)+`"`) {
			t.Errorf("%s: %s %v, want %d and %s", request, text, err, status, code)
		}
	}
	for _, request := range []string{"GET /none", "GET //", "GET /assets/../v1/status", "GET //v1/status", "GET /v1/../v1/status", "GET /v1/status/", "GET /v1/status/.", "CONNECT /v1/status", "OPTIONS *", "PRI /v1/none", "GET /v1/sessions/%2e%2e"} {
		f(request, "", 401, api.CodeUnauthorized)
	}
	f("GET //v1/status", token, 404, api.CodeNotFound)
	f("OPTIONS *", token, 404, api.CodeNotFound)
	f("CONNECT /v1/status", token, 404, api.CodeNotFound)
	f("GET /v1/sessions/%2e%2e", token, 400, api.CodeBadRequest)
	f("GET /v1/sessions/a@b%2Fc%2F..%2F..", token, 404, api.CodeNotFound)
}

// TestConcurrentTokens: changes of a token file at the same time are all there.
func TestConcurrentTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), TokensName)
	const n = 30
	for i := range n {
		addToken(t, file, fmt.Sprint("old", i), ScopeRead)
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := AddToken(file, fmt.Sprint("new", i), ScopeRead); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if err := RemoveToken(file, fmt.Sprint("old", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	tokens, err := Tokens(file)
	if err != nil || len(tokens) != n {
		t.Errorf("%d tokens, want %d, %v", len(tokens), n, err)
	}
	for _, token := range tokens {
		if !strings.HasPrefix(token.Name, "new") {
			t.Errorf("%s was not removed", token.Name)
		}
	}
}
