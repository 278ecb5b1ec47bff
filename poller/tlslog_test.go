//go:build linux

package poller

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// syncBuffer is a log for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func debugLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestKeyLogWriter: only leantls and the client of these tests use the field through
// which a handshake's secrets are exported.
func TestKeyLogWriter(t *testing.T) {
	may := map[string]bool{"poller/leantls/capture.go": true, "poller/leantls/start_test.go": true, "poller/tlspeer_test.go": true, "poller/leantls/differential_test.go": true}
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "KeyLogWriter" {
				found++
				if rel := filepath.ToSlash(strings.TrimPrefix(path, "../")); !may[rel] {
					t.Errorf("%s names KeyLogWriter: only poller/leantls may", rel)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("the search found %d places: %v", found, err)
	}
}
