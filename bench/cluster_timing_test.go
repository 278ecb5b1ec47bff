package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"

	"roost/bench/servers"
	"roost/internal/redistest"
	"roost/parser"
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
	rows     []*clusterRow
}

// clusterRow is a row of the table of results: a value of one server, one of a cluster, and
// their relation, for roost and for ejabberd.
type clusterRow struct {
	what, limit     string
	roost, ejabberd [3]string
}

// What is measured of ejabberd, too.
const (
	rowMemory = "memory of an idle client on its node, RSS"
	rowFar    = "CPU per message to another node, 100 pairs, both nodes together"
	rowNear   = "CPU per message in a cluster, both clients on one node"
	rowLogin  = "CPU per login at two nodes, with two contacts"
	rowDeath  = "death of a node, until the contacts of its clients are told"
)

// target is a process under load.
type target struct {
	address string
	pid     int
}

func (r *roost) target() target { return target{r.starttls, r.cmd.Process.Pid} }

// targets returns the processes of servers.
func targets(servers ...*roost) (all []target) {
	for _, r := range servers {
		all = append(all, r.target())
	}
	return all
}

// clusterLease is the default time for which a node's lease is valid.
const clusterLease = 10 * time.Second

// BenchmarkCluster compares a cluster of three nodes with one server, and with one and two
// nodes of ejabberd if it is installed, in one run, and writes the results to the file that
// ROOST_BENCH_CLUSTER names. ROOST_CROWD changes the number of sessions.
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
		c.resumptions()
		c.ejabberd()
		c.write()
	}
}

func newClusterBench(b *testing.B, sessions int) *clusterBench {
	c := &clusterBench{b: b, sessions: sessions, alone: newRoost(b, sessions, 2)}
	url := c.alone.copyToPostgres()
	c.alone.profiled = false
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
	c.nodes = c.alone.startNodes(3, url, redis.URL())
	return c
}

// clients returns clients of some servers.
func (c *clusterBench) clients(cfg Config, servers ...target) *Clients {
	c.b.Helper()
	for _, s := range servers {
		cfg.Targets = append(cfg.Targets, s.address)
	}
	cfg.InFlight = 200
	f, err := NewClients(cfg)
	if err != nil {
		c.b.Fatal(err)
	}
	return f
}

// pids returns the processes of servers.
func pids(servers []target) (all []int) {
	for _, s := range servers {
		all = append(all, s.pid)
	}
	return all
}

// row adds a row to the table: a value of one server, of the cluster, and the limit of their
// relation.
func (c *clusterBench) row(what, one, cluster, relation, limit string) {
	c.b.Logf("%s: %s, %s, %s (limit %s)", what, one, cluster, relation, limit)
	c.rows = append(c.rows, &clusterRow{what: what, limit: limit, roost: [3]string{one, cluster, relation}})
}

// times returns the columns of two CPU times.
func times(one, cluster float64) (string, string, string) {
	return fmt.Sprintf("%.1f µs", one), fmt.Sprintf("%.1f µs", cluster), fmt.Sprintf("%.2f", cluster/one)
}

// processes is how often the memory of idle clients is measured at the server and at a node, by
// turns and each time in new processes: what the garbage of logins leaves differs by some tens of
// bytes for a client.
const processes = 6

// memory measures idle clients of the server and of one node, and then the death of one of
// three nodes that share as many.
func (c *clusterBench) memory() {
	var one, node, directory float64
	var more []float64
	for turn := range processes {
		if turn > 0 {
			c.alone.restart()
			c.nodes[0].restart()
		}
		a := c.idle(c.alone.target(), c.rss(c.alone.target()))
		b := c.idle(c.nodes[0].target(), c.rss(c.nodes[0].target()), c.redisMemory)
		c.b.Logf("an idle client: %.0f B, in a cluster %.0f B", a[0], b[0])
		one += a[0] / processes
		node += b[0] / processes
		more = append(more, b[0]-a[0])
		if turn == 0 {
			directory = b[1] // later, Redis has some of that already
		}
	}
	c.row(rowMemory, fmt.Sprintf("%.0f B", one), fmt.Sprintf("%.0f B", node),
		fmt.Sprintf("%+.0f B (%+.0f to %+.0f)", node-one, slices.Min(more), slices.Max(more)), "+40 B")
	one, node = c.liveHeap(c.alone), c.liveHeap(c.nodes[0])
	c.row("… its live heap, in another process", fmt.Sprintf("%.0f B", one), fmt.Sprintf("%.0f B", node), fmt.Sprintf("%+.0f B", node-one), "reported")
	c.row("… in Redis, with what Redis keeps to invalidate caches", "", fmt.Sprintf("%.0f B", directory), "", "200 B")
	c.deaths()
}

// liveHeap measures the live heap of an idle client, in a new process that serves profiles.
func (c *clusterBench) liveHeap(r *roost) float64 {
	r.profiled = true
	r.restart()
	defer func() {
		r.profiled = false
		r.restart()
	}()
	return c.idle(r.target(), func() float64 {
		bytes, _ := r.heap()
		return float64(bytes)
	})[0]
}

// rss returns a function that returns a server's resident memory in bytes.
func (c *clusterBench) rss(s target) func() float64 {
	return func() float64 {
		u, err := ReadExactUsage(s.pid)
		if err != nil {
			c.b.Fatal(err)
		}
		return float64(u.RSS)
	}
}

// redisMemory is the memory that Redis uses, in bytes.
func (c *clusterBench) redisMemory() float64 { return c.info("memory", "used_memory") }

// idle returns what each idle client of a server adds to what some functions return. They are
// called when the server has returned memory that it does not need any more.
func (c *clusterBench) idle(s target, values ...func() float64) []float64 {
	f := c.clients(Config{}, s)
	defer f.Close()
	login := func(n int) (all []float64) {
		if err := f.Login(c.b.Context(), n); err != nil {
			c.b.Fatal(err)
		}
		time.Sleep(settle(c.b))
		for _, value := range values {
			all = append(all, value())
		}
		return all
	}
	base := c.sessions / 7
	few := login(base)
	many := login(c.sessions - base)
	for i := range many {
		many[i] = (many[i] - few[i]) / float64(c.sessions-base)
	}
	return many
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

// deaths kills a node, and measures the time until the contacts of its clients are told, and
// until Redis has nothing of it.
func (c *clusterBench) deaths() {
	entries := func() int64 {
		n, err := c.redis.Do(c.b.Context(), c.redis.B().Dbsize().Build()).ToInt64()
		if err != nil {
			c.b.Fatal(err)
		}
		return n
	}
	victim := c.nodes[2]
	victim.killed = true
	var left int64
	var start time.Time
	var clean time.Duration
	told := c.death(targets(c.nodes...), func() {
		left = entries() - int64(c.sessions/3)
		start = time.Now()
		if err := victim.cmd.Process.Kill(); err != nil {
			c.b.Fatal(err)
		}
	}, func() bool {
		if clean == 0 && entries() <= left {
			clean = time.Since(start)
		}
		return clean != 0
	})
	c.nodes = c.nodes[:2]
	limit := fmt.Sprintf("%.0f s", (clusterLease + 2*time.Second).Seconds())
	c.row(rowDeath, "", told, "", limit)
	c.row("… until Redis has nothing of it", "", fmt.Sprintf("%.1f s", clean.Seconds()), "", limit)
}

// death calls kill, which kills one of some nodes that share all sessions, and measures the
// time until the contacts of its clients, each of which has two on other nodes, are told. It
// asks clean until that returns true, and returns what it has measured.
func (c *clusterBench) death(nodes []target, kill func(), clean func() bool) string {
	f := c.clients(Config{}, nodes...)
	defer f.Close()
	if err := f.Login(c.b.Context(), c.sessions); err != nil {
		c.b.Fatal(err)
	}
	var told, last atomic.Int64
	f.setOnStanza(func(_ int, _ *Client, el parser.Element) {
		if string(el.Local()) == "presence" && string(el.Attr("type")) == "unavailable" {
			told.Add(1)
			last.Store(time.Now().UnixNano())
		}
	})
	defer f.setOnStanza(nil)
	start := time.Now()
	kill()
	lost := int64(c.sessions / len(nodes))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := start.Add(4 * clusterLease); (<-tick.C).Before(end); {
		if clean() && told.Load() >= 2*lost {
			break
		}
	}
	if told.Load() == 0 {
		return fmt.Sprintf("none of %d told in %.0f s", 2*lost, (4 * clusterLease).Seconds())
	}
	return fmt.Sprintf("%.1f s, %d of %d told", time.Duration(last.Load()-start.UnixNano()).Seconds(), told.Load(), 2*lost)
}

// turns is how often messages and logins are measured at the server and in the cluster, by turns:
// the machine's other work changes in the meantime. The results are the means.
const turns = 4

// engines is CPU time that Redis and PostgreSQL used for some messages or logins.
type engines struct {
	redis, postgres time.Duration
	n               float64
}

// during adds what they use while f, which returns the CPU time of the servers for each, and how
// many there were, is called. It returns the former.
func (e *engines) during(c *clusterBench, f func() (each, n float64)) float64 {
	redis, postgres := c.engineTimes()
	each, n := f()
	redisAfter, postgresAfter := c.engineTimes()
	e.redis += redisAfter - redis
	e.postgres += postgresAfter - postgres
	e.n += n
	return each
}

// rows adds what they used for each to the table.
func (e *engines) rows(c *clusterBench) {
	c.row("… of Redis", "", fmt.Sprintf("%.1f µs", float64(e.redis.Microseconds())/e.n), "", "reported")
	c.row("… of PostgreSQL", "", fmt.Sprintf("%.1f µs", float64(e.postgres.Microseconds())/e.n), "", "reported")
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

// messages measures messages at the server and in the cluster.
func (c *clusterBench) messages() {
	var one, far, near float64
	var used engines
	for range turns {
		each, _ := c.message(c.alone.target())
		one += each / turns
		far += used.during(c, func() (each, n float64) { return c.message(targets(c.nodes[:2]...)...) }) / turns
		each, _ = c.message(c.nodes[0].target())
		near += each / turns
	}
	a, b, relation := times(one, far)
	c.row(rowFar, a, b, relation, "3")
	used.rows(c)
	a, b, relation = times(one, near)
	c.row(rowNear, a, b, relation, "reported")
}

// message returns the CPU time for a message, in microseconds, between 100 pairs whose
// clients reply at once, and about how many there were. Of two servers, each has one client
// of each pair.
func (c *clusterBench) message(servers ...target) (each, count float64) {
	const pairs, warmup, duration = 100, time.Second, 5 * time.Second
	f := c.clients(Config{}, servers...)
	defer f.Close()
	if err := f.Login(c.b.Context(), 2*pairs); err != nil {
		c.b.Fatal(err)
	}
	r, err := f.Message(c.b.Context(), MessageConfig{Pairs: pairs, Warmup: warmup, Duration: duration, Servers: pids(servers)})
	if err != nil {
		c.b.Fatal(err)
	}
	return r.CPUPerMessage, float64(r.Messages) * float64(duration+warmup) / float64(duration)
}

// resumptions measures clients that lose their connection and resume their session at the server,
// at the same node of the cluster, and at the other one.
func (c *clusterBench) resumptions() {
	var one, far, near float64
	var used engines
	for range turns {
		each, _ := c.resumption(c.alone.target())
		one += each / turns
		far += used.during(c, func() (each, n float64) { return c.resumption(targets(c.nodes[:2]...)...) }) / turns
		each, _ = c.resumption(c.nodes[0].target())
		near += each / turns
	}
	a, b, relation := times(one, far)
	c.row("CPU per resumption at another node, 100 clients, each sent a message meanwhile", a, b, relation, "reported")
	used.rows(c)
	a, b, relation = times(one, near)
	c.row("CPU per resumption at the same node of a cluster", a, b, relation, "reported")
}

// resumption returns the CPU time for a resumption, in microseconds, by SCRAM and without TLS,
// with a message that is sent meanwhile, and how many there were. If there are two servers, each
// resumption is at the one where the session is not.
func (c *clusterBench) resumption(servers ...target) (each, all float64) {
	const pairs, count = 100, 2500
	f := c.clients(Config{SM: true, Accounts: 2 * pairs}, servers...)
	defer f.Close()
	if err := f.Login(c.b.Context(), 2*pairs); err != nil {
		c.b.Fatal(err)
	}
	r, err := f.Resume(c.b.Context(), ResumeConfig{Pairs: pairs, Count: count, Gap: 1, Roam: len(servers) > 1, Servers: pids(servers)})
	if err != nil {
		c.b.Fatal(err)
	}
	if r.Failed > 0 || r.Lost+r.Twice+r.Disordered > 0 {
		c.b.Errorf("resumptions: %+v", r)
	}
	return r.CPUPerResumption, float64(r.Resumptions)
}

// logins measures logins at the server and in the cluster.
func (c *clusterBench) logins() {
	var one, two float64
	var used engines
	for range turns {
		each, _ := c.login(c.alone.target())
		one += each / turns
		two += used.during(c, func() (each, n float64) { return c.login(targets(c.nodes[:2]...)...) }) / turns
	}
	a, b, relation := times(one, two)
	c.row(rowLogin, a, b, relation, "2")
	used.rows(c)
}

// login returns the CPU time for a login, in microseconds, by SCRAM and without TLS, of
// clients that leave at once, and how many there were.
func (c *clusterBench) login(servers ...target) (each, all float64) {
	const count, warm = 2500, 500
	before := c.clients(Config{Accounts: 1000}, servers...)
	if _, err := before.LoginStorm(c.b.Context(), LoginConfig{Count: warm}); err != nil {
		c.b.Fatal(err)
	}
	_ = before.Close()
	f := c.clients(Config{Accounts: 1000}, servers...)
	defer f.Close()
	r, err := f.LoginStorm(c.b.Context(), LoginConfig{Count: count, Servers: pids(servers)})
	if err != nil {
		c.b.Fatal(err)
	}
	return r.CPUPerLogin, count + warm
}

// ejabberd measures one node of ejabberd and a cluster of two, and adds them to the rows.
func (c *clusterBench) ejabberd() {
	if _, err := exec.LookPath("ejabberdctl"); err != nil {
		c.b.Log("ejabberd is not installed, and not measured")
		return
	}
	dir := c.b.TempDir()
	config := func(name string) servers.Config {
		return servers.Config{Dir: filepath.Join(dir, name), Plain: servers.FreePort(), Direct: servers.FreePort(), Accounts: c.sessions, Contacts: 2}
	}
	at := func(s *servers.Server, cfg servers.Config) target {
		return target{fmt.Sprintf("127.0.0.1:%d", cfg.Plain), s.PID()}
	}
	set := func(what, one, cluster, relation string) {
		c.b.Logf("ejabberd, %s: %s, %s, %s", what, one, cluster, relation)
		for _, r := range c.rows {
			if r.what == what {
				r.ejabberd = [3]string{one, cluster, relation}
			}
		}
	}
	cfg := config("alone")
	alone, err := servers.Start("ejabberd", cfg)
	if err != nil {
		c.b.Fatal(err)
	}
	idle := c.idle(at(alone, cfg), c.rss(at(alone, cfg)))[0]
	message, _ := c.message(at(alone, cfg))
	login, _ := c.login(at(alone, cfg))
	alone.Stop()

	both := []servers.Config{config("first"), config("second")}
	cluster, err := servers.StartEjabberdCluster(both)
	if err != nil {
		c.b.Fatal(err)
	}
	defer cluster.Stop()
	nodes := []target{at(cluster.Nodes[0], both[0]), at(cluster.Nodes[1], both[1])}
	node := c.idle(nodes[0], c.rss(nodes[0]))[0]
	set(rowMemory, fmt.Sprintf("%.0f B", idle), fmt.Sprintf("%.0f B", node), fmt.Sprintf("%+.0f B", node-idle))
	far, _ := c.message(nodes...)
	a, b, relation := times(message, far)
	set(rowFar, a, b, relation)
	near, _ := c.message(nodes[0])
	a, b, relation = times(message, near)
	set(rowNear, a, b, relation)
	two, _ := c.login(nodes...)
	a, b, relation = times(login, two)
	set(rowLogin, a, b, relation)
	set(rowDeath, "", c.death(nodes, cluster.Nodes[1].Kill, func() bool { return true }), "")
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
	var page strings.Builder
	for _, r := range c.rows {
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", r.what, strings.Join(r.roost[:], " | "), r.limit, strings.Join(r.ejabberd[:], " | "))
	}
	text := fmt.Sprintf(`# A cluster beside one server

`+"`make bench-cluster`"+` wrote this page on %s, at commit %s, on %d CPUs with a load average of %s at the end. One server with SQLite, and three nodes with PostgreSQL and Redis, ran on loopback, with the same
%d accounts; each has two contacts, which are on the other two nodes. After them, Debian's ejabberd ran with the same accounts: one node, and two with Mnesia. CPU times are those of the servers, of all nodes together, unless another
program is named, and means of %d turns of roost's servers. Other work on the machine makes all figures larger; a load average of more than the number of CPUs and two means that there was some. RSS was read %v after the last login, that of roost in %d processes, of which the table has the mean. One of the nodes that share all
clients is killed: one of three of roost, one of two of ejabberd.

| | one server | cluster | relation | limit | ejabberd, one node | two nodes | relation |
|---|---:|---:|---:|---:|---:|---:|---:|
%s`, time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(out)), runtime.NumCPU(), average, c.sessions, turns, settle(c.b), processes, page.String())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.b.Fatal(err)
	}
}
