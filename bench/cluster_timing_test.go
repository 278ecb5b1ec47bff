package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"

	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/parser"
	"roost/store/stores"
)

// clusterBench is a server without a cluster, with SQLite, and a cluster of three nodes with
// PostgreSQL and Redis, with the same accounts. Each has two contacts, which are on the other
// two nodes.
type clusterBench struct {
	b        *testing.B
	sessions int
	alone    *roost
	nodes    []*roost
	redis    rueidis.Client
	pg       *pgx.Conn
	page     strings.Builder // the rows of the table of results
}

// clusterLease is the default time for which a node's lease is valid.
const clusterLease = 10 * time.Second

// BenchmarkCluster compares a cluster of three nodes with one server, in one run, and writes
// the results to the file that ROOST_BENCH_CLUSTER names. ROOST_CROWD changes the number of
// sessions.
func BenchmarkCluster(b *testing.B) {
	sessions := manySessions
	if n, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil {
		sessions = n
	}
	for b.Loop() {
		c := newClusterBench(b, sessions)
		c.memory()
		c.messages()
		c.logins()
		c.write()
	}
}

func newClusterBench(b *testing.B, sessions int) *clusterBench {
	c := &clusterBench{b: b, sessions: sessions, alone: newRoost(b, sessions, 2)}
	url := pgtest.Shared(b).URL(b)
	from := stores.Default(c.alone.data)
	if out, err := exec.Command(c.alone.program, "store", "copy", "--from", from, "--to", url).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	c.alone.serve()
	redis := redistest.Start(b)
	var err error
	if c.redis, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redis.Addr}, DisableCache: true}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.redis.Close)
	if c.pg, err = pgx.Connect(b.Context(), regexp.MustCompile(`pool_max_conns=\d+&?`).ReplaceAllString(url, "")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.pg.Close(context.Background()) })
	for i := range 3 {
		r := &roost{t: b, program: c.alone.program, data: b.TempDir()}
		if err := os.WriteFile(filepath.Join(r.data, "secret"), bytes.Repeat([]byte("s"), 32), 0o600); err != nil {
			b.Fatal(err)
		}
		r.serve("--store", url, "--cluster", redis.URL(), "--node", fmt.Sprintf("node%d", i))
		c.nodes = append(c.nodes, r)
	}
	return c
}

// clients returns clients of some servers.
func (c *clusterBench) clients(cfg Config, servers ...*roost) *Clients {
	c.b.Helper()
	for _, r := range servers {
		cfg.Targets = append(cfg.Targets, r.starttls)
	}
	cfg.InFlight = 200
	f, err := NewClients(cfg)
	if err != nil {
		c.b.Fatal(err)
	}
	return f
}

// pids returns the processes of servers.
func pids(servers ...*roost) (all []int) {
	for _, r := range servers {
		all = append(all, r.cmd.Process.Pid)
	}
	return all
}

// row adds a row to the table: a value of one server, of the cluster, and the limit of their
// relation.
func (c *clusterBench) row(what, one, cluster, relation, limit string) {
	c.b.Logf("%s: %s, %s, %s (limit %s)", what, one, cluster, relation, limit)
	fmt.Fprintf(&c.page, "| %s | %s | %s | %s | %s |\n", what, one, cluster, relation, limit)
}

// memory measures idle clients of the server and of one node, and then the death of one of
// three nodes that share as many.
func (c *clusterBench) memory() {
	one, _ := c.idle(c.alone)
	node, directory := c.idle(c.nodes[0])
	c.row("memory of an idle client on its node, RSS", fmt.Sprintf("%.0f B", one), fmt.Sprintf("%.0f B", node), fmt.Sprintf("%+.0f B", node-one), "+40 B")
	c.row("… in Redis, with what Redis keeps to invalidate caches", "", fmt.Sprintf("%.0f B", directory), "", "200 B")
	f := c.clients(Config{}, c.nodes...)
	defer f.Close()
	if err := f.Login(c.b.Context(), c.sessions); err != nil {
		c.b.Fatal(err)
	}
	c.death(f)
}

// idle returns the memory of each client of a server.
func (c *clusterBench) idle(r *roost) (rss, directory float64) {
	f := c.clients(Config{}, r)
	defer f.Close()
	login := func(n int) (Usage, float64) {
		if err := f.Login(c.b.Context(), n); err != nil {
			c.b.Fatal(err)
		}
		time.Sleep(settle(c.b))
		return r.usage(), c.info("memory", "used_memory")
	}
	base := c.sessions / 7
	few, fewBytes := login(base)
	many, manyBytes := login(c.sessions - base)
	n := float64(c.sessions - base)
	return float64(many.RSS-few.RSS) / n, (manyBytes - fewBytes) / n
}

// info returns a number that Redis reports.
func (c *clusterBench) info(section string, names ...string) (sum float64) {
	c.b.Helper()
	text, err := c.redis.Do(c.b.Context(), c.redis.B().Info().Section(section).Build()).ToString()
	if err != nil {
		c.b.Fatal(err)
	}
	for _, name := range names {
		m := regexp.MustCompile(`(?m)^` + name + `:([0-9.]+)`).FindStringSubmatch(text)
		if m == nil {
			c.b.Fatalf("no %s: %s", name, text)
		}
		n, _ := strconv.ParseFloat(m[1], 64)
		sum += n
	}
	return sum
}

// death kills a node, and measures the time until all contacts of its clients, each of which has
// one on each other node, are told, and until Redis has nothing of it.
func (c *clusterBench) death(f *Clients) {
	var told atomic.Int64
	var last atomic.Int64
	f.setOnStanza(func(_ int, _ *Client, el parser.Element) {
		if string(el.Local()) == "presence" && string(el.Attr("type")) == "unavailable" {
			told.Add(1)
			last.Store(time.Now().UnixNano())
		}
	})
	defer f.setOnStanza(nil)
	entries := func() int64 {
		n, err := c.redis.Do(c.b.Context(), c.redis.B().Dbsize().Build()).ToInt64()
		if err != nil {
			c.b.Fatal(err)
		}
		return n
	}
	before := entries()
	victim := c.nodes[2]
	victim.killed = true
	c.nodes = c.nodes[:2]
	start := time.Now()
	if err := victim.cmd.Process.Kill(); err != nil {
		c.b.Fatal(err)
	}
	lost := int64(c.sessions / 3)
	var clean time.Duration
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := start.Add(4 * clusterLease); (<-tick.C).Before(end); {
		if clean == 0 && entries() <= before-lost {
			clean = time.Since(start)
		}
		if clean != 0 && told.Load() >= 2*lost {
			break
		}
	}
	took := time.Duration(last.Load() - start.UnixNano())
	what := fmt.Sprintf("death of a node with %d of %d clients, until their %d contacts are told", lost, c.sessions, 2*lost)
	c.row(what, "", fmt.Sprintf("%.1f s, %d told", took.Seconds(), told.Load()), "", fmt.Sprintf("%.0f s", (clusterLease+2*time.Second).Seconds()))
	c.row("… until Redis has nothing of it", "", fmt.Sprintf("%.1f s", clean.Seconds()), "", fmt.Sprintf("%.0f s", (clusterLease+2*time.Second).Seconds()))
}

// engines measures the CPU time that Redis and PostgreSQL use until the returned function is
// called, and adds it to the table, divided by n.
func (c *clusterBench) engines() (end func(n float64)) {
	redis, postgres := c.engineTimes()
	return func(n float64) {
		redisAfter, postgresAfter := c.engineTimes()
		c.row("… of Redis", "", fmt.Sprintf("%.1f µs", float64((redisAfter-redis).Microseconds())/n), "", "reported")
		c.row("… of PostgreSQL", "", fmt.Sprintf("%.1f µs", float64((postgresAfter-postgres).Microseconds())/n), "", "reported")
	}
}

// engineTimes returns the CPU time that Redis and PostgreSQL have used.
func (c *clusterBench) engineTimes() (redis, postgres time.Duration) {
	c.b.Helper()
	redis = time.Duration(c.info("cpu", "used_cpu_sys", "used_cpu_user") * float64(time.Second))
	rows, err := c.pg.Query(c.b.Context(), `SELECT pid FROM pg_stat_activity`)
	if err != nil {
		c.b.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		c.b.Fatal(err)
	}
	for _, pid := range all {
		if u, err := ReadUsage(pid); err == nil { // it may have ended
			postgres += u.CPU
		}
	}
	return redis, postgres
}

// messages measures messages of 100 pairs, whose clients reply at once.
func (c *clusterBench) messages() {
	const pairs, warmup, duration = 100, 2 * time.Second, 10 * time.Second
	measure := func(servers ...*roost) MessageResult {
		f := c.clients(Config{}, servers...)
		defer f.Close()
		if err := f.Login(c.b.Context(), 2*pairs); err != nil {
			c.b.Fatal(err)
		}
		r, err := f.Message(c.b.Context(), MessageConfig{Pairs: pairs, Warmup: warmup, Duration: duration, Servers: pids(servers...)})
		if err != nil {
			c.b.Fatal(err)
		}
		return r
	}
	one := measure(c.alone).CPUPerMessage
	end := c.engines()
	r := measure(c.nodes[:2]...)
	c.row("CPU per message to another node, 100 pairs, both nodes together", fmt.Sprintf("%.1f µs", one), fmt.Sprintf("%.1f µs", r.CPUPerMessage), fmt.Sprintf("%.2f", r.CPUPerMessage/one), "3")
	end(float64(r.Messages) * float64(duration+warmup) / float64(duration))
	own := measure(c.nodes[0]).CPUPerMessage
	c.row("CPU per message in a cluster, both clients on one node", fmt.Sprintf("%.1f µs", one), fmt.Sprintf("%.1f µs", own), fmt.Sprintf("%.2f", own/one), "reported")
}

// logins measures logins, by SCRAM and without TLS, of clients that leave at once.
func (c *clusterBench) logins() {
	const count, warm = 5000, 500
	measure := func(servers ...*roost) float64 {
		before := c.clients(Config{Accounts: 1000}, servers...)
		if _, err := before.LoginStorm(c.b.Context(), LoginConfig{Count: warm}); err != nil {
			c.b.Fatal(err)
		}
		_ = before.Close()
		f := c.clients(Config{Accounts: 1000}, servers...)
		defer f.Close()
		r, err := f.LoginStorm(c.b.Context(), LoginConfig{Count: count, Servers: pids(servers...)})
		if err != nil {
			c.b.Fatal(err)
		}
		return r.CPUPerLogin
	}
	one := measure(c.alone)
	end := c.engines()
	two := measure(c.nodes[:2]...)
	c.row("CPU per login at two nodes, with two contacts", fmt.Sprintf("%.0f µs", one), fmt.Sprintf("%.0f µs", two), fmt.Sprintf("%.2f", two/one), "2")
	end(count + warm)
}

// write writes the page.
func (c *clusterBench) write() {
	file := os.Getenv("ROOST_BENCH_CLUSTER")
	if file == "" {
		return
	}
	out, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	load, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(load), " ")
	text := fmt.Sprintf(`# A cluster beside one server

`+"`make bench-cluster`"+` wrote this page on %s, at commit %s, on %d CPUs with a load average of %s at the end. One server with SQLite, and three nodes with PostgreSQL and Redis, ran on loopback, with the same
%d accounts; each has two contacts, which are on the other two nodes. CPU times are those of roost, of all nodes together, unless another program is named. Other work on the machine makes all figures larger; a load average of more
than the number of CPUs and two means that there was some. Memory was read %v after the last login.

| | one server | cluster | relation | limit |
|---|---:|---:|---:|---:|
%s`, time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(out)), runtime.NumCPU(), average, c.sessions, settle(c.b), c.page.String())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.b.Fatal(err)
	}
}
