// Package archtest enforces the structure of the module: which package may import which.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed lists what the sources of a package, except for tests, may import in addition
// to the standard library: packages of this module, and other modules. A new entry
// changes the structure and must be explained in docs/architecture.md.
var allowed = map[string][]string{
	"parser":            {},
	"jid":               {"golang.org/x/text", "golang.org/x/net"},
	"poller":            {"roost/poller/websocket", "roost/internal/hot", "roost/internal/histogram", "roost/poller/epoll", "roost/poller/leantls", "roost/internal/panics", "roost/internal/peernet", "github.com/pires/go-proxyproto", "github.com/valyala/bytebufferpool", "golang.org/x/sys"},
	"poller/epoll":      {"github.com/cloudwego/netpoll", "golang.org/x/sys/unix"},
	"poller/websocket":  {"github.com/gobwas/ws"},
	"poller/leantls":    {"golang.org/x/crypto"},
	"stanza":            {"roost/parser", "roost/jid"},
	"store":             {"roost/internal/histogram", "roost/jid", "github.com/xdg-go/scram", "github.com/xdg-go/stringprep"},
	"session":           {"roost/internal/events", "roost/internal/hot", "roost/internal/histogram", "roost/internal/job", "roost/internal/loglimit", "roost/internal/panics", "roost/internal/peernet", "roost/internal/sessiondata", "roost/stanza", "roost/parser", "roost/jid", "roost/store", "github.com/puzpuzpuz/xsync/v3", "github.com/xdg-go/scram"},
	"router":            {"roost/internal/events", "roost/internal/hot", "roost/internal/hourly", "roost/internal/job", "roost/internal/loglimit", "roost/session", "roost/stanza", "roost/parser", "roost/jid", "roost/store", "github.com/maypok86/otter/v2"},
	"xep":               {"roost/internal/hot", "roost/internal/hourly", "roost/internal/loglimit", "roost/internal/peernet", "roost/router", "roost/session", "roost/stanza", "roost/parser", "roost/jid", "roost/store"},
	"store/sqlite":      {"roost/internal/histogram", "roost/store", "roost/jid", "roost/internal/ownfile", "roost/internal/paced", "zombiezen.com/go/sqlite", "golang.org/x/sys/unix"},
	"store/postgres":    {"roost/internal/combine", "roost/internal/histogram", "roost/internal/rawconn", "roost/store", "roost/jid", "github.com/jackc/pgx/v5"},
	"store/stores":      {"roost/store", "roost/store/postgres", "roost/store/sqlite"},
	"store/memstore":    {"roost/store", "roost/jid"},
	"store/storetest":   {"roost/store", "roost/jid"},
	"store/faultstore":  {"roost/store"},
	"migrate":           {"roost/stanza", "roost/parser", "roost/jid", "roost/store"},
	"acme":              {"roost/internal/ownfile", "github.com/caddyserver/certmagic", "github.com/mholt/acmez/v3", "go.uber.org/zap", "golang.org/x/net/netutil"},
	"server":            {"roost/acme", "roost/internal/hot", "roost/internal/job", "roost/internal/loglimit", "roost/admin", "roost/admin/api", "roost/backup", "roost/blocks", "roost/capacity", "roost/cluster", "roost/poller", "roost/poller/websocket", "roost/jid", "roost/session", "roost/stanza", "roost/router", "roost/xep", "roost/store", "roost/store/stores", "roost/internal/ownfile", "golang.org/x/sys", "rsc.io/qr"},
	"admin/metrics":     {"roost/admin/api", "roost/internal/histogram", "roost/poller", "roost/poller/leantls", "roost/router", "roost/session", "roost/store", "github.com/prometheus/client_golang", "github.com/prometheus/common", "golang.org/x/sys"},
	"admin":             {"roost/blocks", "roost/internal/events", "roost/internal/histogram", "roost/internal/job", "roost/admin/api", "roost/admin/dashboard", "roost/admin/metrics", "roost/internal/loglevel", "roost/internal/logring", "roost/internal/ownfile", "roost/internal/panics", "roost/internal/redact", "roost/internal/unixsock", "roost/internal/version", "roost/jid", "roost/poller", "roost/router", "roost/session", "roost/store"},
	"admin/api":         {"roost/internal/unixsock"},
	"admin/dashboard":   {"roost/admin/api", "roost/internal/human", "roost/internal/logring", "roost/session", "github.com/dustin/go-humanize"},
	"internal/unixsock": {"golang.org/x/sys"},
	"backup":            {"roost/internal/ownfile", "roost/internal/paced", "golang.org/x/sys"},
	"blocks":            {"roost/store", "roost/jid"},
	"capacity":          {"github.com/dustin/go-humanize"},
	"internal/hot":      {},
	"internal/human":    {},
	"internal/job":      {},
	"internal/panics":   {},
	"internal/loglimit": {},
	"internal/combine":  {},
	"internal/rawconn":  {"roost/poller/epoll", "golang.org/x/sys/unix"},
	"internal/loglevel": {},
	"internal/logqueue": {},
	"internal/logring":  {},
	"internal/cli":      {"roost/internal/logqueue", "roost/internal/version", "github.com/alecthomas/kong"},
	"cmd/roost": {"roost/admin", "roost/admin/api", "roost/backup", "roost/internal/cli", "roost/internal/histogram", "roost/internal/hot", "roost/internal/human", "roost/internal/loglevel", "roost/internal/logqueue", "roost/internal/logring", "roost/internal/ownfile", "roost/internal/version", "roost/capacity", "roost/migrate", "roost/migrate/ejabberd", "roost/migrate/pie", "roost/migrate/prosody", "roost/migrate/sqlrows", "roost/server", "roost/session", "roost/jid", "roost/store", "roost/store/stores", "roost/xep",
		"github.com/alecthomas/kong", "github.com/BurntSushi/toml", "github.com/coreos/go-systemd/v22", "github.com/dustin/go-humanize",
		"golang.org/x/sys", "golang.org/x/term"},
	"cmd/roost-bench": {"roost/internal/cli", "roost/bench", "roost/bench/parsebench", "roost/bench/chart", "roost/bench/relay", "roost/server", "roost/jid", "roost/store", "roost/store/stores",
		"github.com/alecthomas/kong", "github.com/dustin/go-humanize", "golang.org/x/term"},
	"bench/peers":          {"roost/bench/chart", "roost/bench/servers", "github.com/dustin/go-humanize"},
	"bench/servers":        {"roost/bench/contacts", "roost/store/stores"},
	"bench/contacts":       {"roost/jid", "roost/store", "roost/store/stores"},
	"bench":                {"roost/poller", "roost/parser", "github.com/xdg-go/scram", "github.com/HdrHistogram/hdrhistogram-go"},
	"bench/parsebench":     {"roost/parser"},
	"bench/chart":          {"gonum.org/v1/plot", "golang.org/x/image/font", "github.com/dustin/go-humanize"},
	"bench/relay":          {"golang.org/x/sys"},
	"internal/cmdtest":     {"roost/internal/cli", "roost/store", "roost/store/faultstore", "roost/store/stores", "github.com/alecthomas/kong", "golang.org/x/sys"},
	"internal/memnet":      {},
	"internal/ownfile":     {},
	"internal/paced":       {"golang.org/x/sys/unix"},
	"internal/archtest":    {},
	"internal/hourly":      {},
	"internal/peernet":     {},
	"internal/sessiondata": {},
	"internal/redact":      {"roost/parser"},
	"internal/memnodes":    {"roost/router"},
	"internal/xmpptest":    {"roost/internal/memnet", "roost/internal/memnodes", "roost/jid", "roost/parser", "roost/router", "roost/session", "roost/store", "roost/store/memstore", "roost/internal/teststores", "roost/xep", "github.com/xdg-go/scram"},
	"test/interop":         {},
	"test/dist":            {},

	"migrate/pie":         {"roost/migrate", "roost/stanza", "roost/parser", "roost/store"},
	"migrate/prosody":     {"roost/migrate", "roost/migrate/sqlrows", "roost/parser", "roost/store"},
	"migrate/ejabberd":    {"roost/migrate", "roost/migrate/sqlrows", "roost/parser", "roost/store"},
	"migrate/sqlrows":     {"roost/migrate", "github.com/go-sql-driver/mysql", "github.com/jackc/pgx/v5", "zombiezen.com/go/sqlite"},
	"migrate/migratetest": {"roost/migrate", "roost/jid", "roost/store"},

	"cluster":             {"roost/internal/rawconn", "roost/router", "github.com/redis/rueidis"},
	"cluster/clustertest": {"roost/router", "roost/internal/xmpptest"},
	"internal/redistest":  {},
	"internal/wrongclock": {},
	"internal/version":    {},

	"internal/events":     {},
	"internal/histogram":  {},
	"internal/pgtest":     {"github.com/jackc/pgx/v5"},
	"internal/mariatest":  {"github.com/go-sql-driver/mysql"},
	"internal/teststores": {"roost/internal/pgtest", "roost/store", "roost/store/memstore", "roost/store/sqlite", "roost/store/stores", "zombiezen.com/go/sqlite"},
}

// TestFloorPlan reads the sources itself: the test cache would return stale output of `go
// list`.
func TestFloorPlan(t *testing.T) {
	for _, v := range violations(t, "../..") {
		t.Error(v)
	}
}

// TestViolation: the check finds violations.
func TestViolation(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "parser"), 0o755); err != nil {
		t.Fatal(err)
	}
	source := "package parser\nimport (\n\t_ \"strings\"\n\t_ \"roost/session\"\n)\n"
	if err := os.WriteFile(filepath.Join(dir, "parser", "bad.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	got := violations(t, dir)
	if len(got) != 1 || !strings.Contains(got[0], "parser/bad.go") || !strings.Contains(got[0], "roost/session") {
		t.Errorf("%q, want one violation that names file and import", got)
	}
}

func violations(t *testing.T, root string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		more, err := check(path, filepath.ToSlash(rel))
		found = append(found, more...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// check returns the imports of one file that its package may not use.
func check(path, rel string) (found []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	room := filepath.ToSlash(filepath.Dir(rel))
	may, known := allowed[room]
	if !known {
		return []string{fmt.Sprintf("%s: room %s is not on the floor plan", rel, room)}, nil
	}
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(name, "/")
		ours := first == "roost"
		if !ours && !strings.Contains(first, ".") {
			continue // the standard library
		}
		ok := slices.ContainsFunc(may, func(m string) bool {
			return name == m || !ours && strings.HasPrefix(name, m+"/")
		})
		if !ok {
			found = append(found, fmt.Sprintf("%s: room %s may not import %s", rel, room, name))
		}
	}
	return found, nil
}
