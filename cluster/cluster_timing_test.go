package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"roost/internal/redistest"
	"roost/router"
)

// counting is a handler that counts.
type counting struct {
	items    chan struct{} // gets a value for each item, if it is set
	died     atomic.Int64
	total    atomic.Int64
	returned atomic.Int64
}

func (c *counting) NewLane() router.NodeLane { return c }
func (c *counting) Flush()                   {}
func (c *counting) Item(router.NodeID, string, []byte) {
	c.total.Add(1)
	if c.items != nil {
		c.items <- struct{}{}
	}
}
func (c *counting) Undelivered(router.NodeID, string, []byte, bool) { c.returned.Add(1) }
func (c *counting) Died(_ router.NodeID, all []router.Death)        { c.died.Add(int64(len(all))) }
func (c *counting) Rejoined(context.Context, router.Lost)           {}

// cpu measures the CPU time of this process and of Redis.
type cpu struct {
	n            *Node
	ours, engine time.Duration
}

func startCPU(b testing.TB, n *Node) *cpu {
	c := &cpu{n: n}
	c.ours, c.engine = c.read(b)
	return c
}

func (c *cpu) read(b testing.TB) (ours, engine time.Duration) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	client := c.n.engine.client
	text, err := client.Do(context.Background(), client.B().Info().Section("cpu").Build()).ToString()
	if err != nil {
		b.Fatal(err)
	}
	user, _ := strconv.ParseFloat(infoField(text, "used_cpu_user"), 64)
	sys, _ := strconv.ParseFloat(infoField(text, "used_cpu_sys"), 64)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), time.Duration((user + sys) * 1e9)
}

// report reports the CPU time for each of count operations.
func (c *cpu) report(b *testing.B, count int) {
	b.Helper()
	ours, engine := c.read(b)
	b.ReportMetric(float64((ours-c.ours).Nanoseconds())/1000/float64(count), "us-cpu/op")
	b.ReportMetric(float64((engine-c.engine).Nanoseconds())/1000/float64(count), "us-redis/op")
	b.ReportMetric(0, "ns/op")
}

func benchNode(b testing.TB, url, name string, h router.NodeHandler) *Node {
	b.Helper()
	return benchNodeLease(b, url, name, h, 10*time.Second)
}

func benchNodeLease(b testing.TB, url, name string, h router.NodeHandler, lease time.Duration) *Node {
	b.Helper()
	n, err := start(Config{URL: url, Name: name, Logger: slog.New(slog.DiscardHandler), Lease: lease, TotalBytes: 1 << 30}, h)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeNode(n) })
	return n
}

// fill registers count accounts, with as many callers at once as a busy server has.
func fill(b testing.TB, n *Node, first, count int) {
	b.Helper()
	var tasks sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		tasks.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if _, err := n.Register(context.Background(), benchAccount(first+i), "balcony", router.Registration{}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	tasks.Wait()
}

func benchAccount(i int) string { return fmt.Sprintf("user%07d@example.org", i) }

// BenchmarkRegister: one registration, 64 at once.
func BenchmarkRegister(b *testing.B) {
	n := benchNode(b, redistest.Start(b).URL(), "a", new(counting))
	c := startCPU(b, n)
	b.ResetTimer()
	fill(b, n, 0, b.N)
	c.report(b, b.N)
}

// BenchmarkUnregister: the same, and the end of the registration.
func BenchmarkUnregister(b *testing.B) {
	n := benchNode(b, redistest.Start(b).URL(), "a", new(counting))
	fill(b, n, 0, b.N)
	c := startCPU(b, n)
	b.ResetTimer()
	for i := range b.N {
		n.Unregister(benchAccount(i), "balcony")
		if i%1000 == 0 {
			n.writes.drain(context.Background())
		}
	}
	n.writes.drain(context.Background())
	c.report(b, b.N)
}

// BenchmarkLookup: one account, in memory and not, alone and ten in one request.
func BenchmarkLookup(b *testing.B) {
	server := redistest.Start(b)
	const accounts = 10_000
	fill(b, benchNode(b, server.URL(), "a", new(counting)), 0, accounts)
	n := benchNode(b, server.URL(), "b", new(counting))
	for _, group := range []int{1, 10} {
		b.Run(fmt.Sprint("Read", group), func(b *testing.B) {
			all := make([]string, group)
			c := startCPU(b, n)
			for i := 0; i < b.N; i += group {
				if i%accounts == 0 {
					n.cache.clear()
				}
				for j := range all {
					all[j] = benchAccount((i + j) % accounts)
				}
				if _, err := n.Places(context.Background(), all); err != nil {
					b.Fatal(err)
				}
			}
			c.report(b, b.N)
		})
	}
	b.Run("Cached", func(b *testing.B) {
		account := benchAccount(1)
		if _, err := n.Current(context.Background(), account); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := n.Cached(account); !ok {
				b.Fatal("not in memory")
			}
		}
	})
}

// BenchmarkItem: one item of 200 bytes, both nodes together, with so many under way at once.
func BenchmarkItem(b *testing.B) {
	for _, window := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("Window", window), func(b *testing.B) {
			server := redistest.Start(b)
			h := &counting{items: make(chan struct{}, window)}
			from, to := benchNode(b, server.URL(), "a", new(counting)), benchNode(b, server.URL(), "b", h)
			for len(from.Others()) == 0 {
				from.hurry()
				<-from.whenChanged()
			}
			item := make([]byte, 200)
			accounts := make([]string, 100)
			for i := range accounts {
				accounts[i] = benchAccount(i)
			}
			c := startCPU(b, from)
			b.ResetTimer()
			for i := range b.N {
				if i >= window {
					<-h.items
				}
				if !from.Send(to.Self(), accounts[i%100], item) {
					b.Fatal("the queue is full")
				}
			}
			for range min(window, b.N) {
				<-h.items
			}
			c.report(b, b.N)
			b.ReportMetric(float64(from.Stats().SentItems)/float64(max(1, from.Stats().SentBatches)), "items/batch")
		})
	}
}

// BenchmarkMemory: bytes in Redis for an entry, of accounts with one resource. The number of
// entries is in ROOST_ENTRIES.
func BenchmarkMemory(b *testing.B) {
	entries := 15_000
	if text := os.Getenv("ROOST_ENTRIES"); text != "" {
		var err error
		if entries, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	server := redistest.Start(b)
	n := benchNode(b, server.URL(), "a", new(counting))
	used := func() int {
		client := n.engine.client
		text, err := client.Do(context.Background(), client.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			b.Fatal(err)
		}
		bytes, _ := strconv.Atoi(infoField(text, "used_memory"))
		return bytes
	}
	for b.Loop() {
		before := used()
		fill(b, n, 0, entries)
		n.writes.drain(context.Background())
		b.ReportMetric(float64(used()-before)/float64(entries), "B/entry")
		b.ReportMetric(float64(n.level.Load()), "level")
	}
}

// BenchmarkDeath: a node with 5,000 of 15,000 resources dies. It reports the time from the
// end of its lease until the directory is clean, beyond the lease.
func BenchmarkDeath(b *testing.B) {
	for b.Loop() {
		server := redistest.Start(b)
		var nodes [3]*Node
		var handlers [3]*counting
		for i := range nodes {
			handlers[i] = new(counting)
			nodes[i] = benchNode(b, server.URL(), fmt.Sprint("n", i), handlers[i])
			fill(b, nodes[i], 5000*i, 5000)
		}
		begin := time.Now()
		kill(nodes[0])
		for handlers[1].died.Load()+handlers[2].died.Load() < 5000 || nodes[1].Stats().CleanedNodes+nodes[2].Stats().CleanedNodes == 0 {
			<-time.After(10 * time.Millisecond)
		}
		b.ReportMetric((time.Since(begin) - nodes[1].config.Lease).Seconds(), "s-beyond-lease")
	}
}

const simulationLease = time.Minute

// BenchmarkSimulation: as many nodes as ROOST_NODES says, in one process, each with
// ROOST_ENTRIES entries, send each other ROOST_ITEMS items.
func BenchmarkSimulation(b *testing.B) {
	env := func(name string, value int) int {
		if text := os.Getenv(name); text != "" {
			var err error
			if value, err = strconv.Atoi(text); err != nil {
				b.Fatal(err)
			}
		}
		return value
	}
	count, entries, items := env("ROOST_NODES", 10), env("ROOST_ENTRIES", 1000), env("ROOST_ITEMS", 20_000)
	for b.Loop() {
		server := redistest.Start(b, "--maxclients", "10000")
		nodes, handlers := make([]*Node, count), make([]*counting, count)
		for i := range nodes {
			handlers[i] = new(counting)
			// So many nodes in one process are slow. The leases of a real cluster are 10 s.
			nodes[i] = benchNodeLease(b, server.URL(), fmt.Sprint("n", i), handlers[i], simulationLease)
		}
		for _, n := range nodes {
			for len(n.Others()) < count-1 {
				n.hurry()
				<-time.After(10 * time.Millisecond)
			}
		}
		idle := startCPU(b, nodes[0])
		<-time.After(5 * time.Second)
		ours, engine := idle.read(b)
		// As with leases of 10 s.
		b.ReportMetric((engine-idle.engine).Seconds()/5*100*6, "%redis-idle")
		b.ReportMetric((ours-idle.ours).Seconds()/5*100*6/float64(count), "%cpu-idle/node")

		c := startCPU(b, nodes[0])
		for i, n := range nodes {
			fill(b, n, i*entries, entries)
		}
		ours, engine = c.read(b)
		per := func(d time.Duration, k int) float64 { return float64(d.Nanoseconds()) / 1000 / float64(k) }
		b.ReportMetric(per(ours-c.ours, count*entries), "us-cpu/register")
		b.ReportMetric(per(engine-c.engine, count*entries), "us-redis/register")

		c = startCPU(b, nodes[0])
		item := make([]byte, 200)
		var senders sync.WaitGroup
		for from := range nodes {
			senders.Go(func() {
				for i := range items / count {
					to := nodes[(from+1+i%(count-1))%count]
					for !nodes[from].Send(to.Self(), benchAccount(i), item) {
						<-time.After(time.Millisecond)
					}
					if i%20 == 19 {
						<-time.After(time.Millisecond)
					}
				}
			})
		}
		senders.Wait()
		var returned int64
		for done := int64(0); done < int64(items/count*count); {
			<-time.After(time.Millisecond)
			done = 0
			returned = 0
			for _, h := range handlers {
				done += h.total.Load() + h.returned.Load()
				returned += h.returned.Load()
			}
		}
		ours, engine = c.read(b)
		sent, batches := uint64(0), uint64(0)
		for _, n := range nodes {
			s := n.Stats()
			sent, batches = sent+s.SentItems, batches+s.SentBatches
		}
		b.ReportMetric(float64(returned), "returned")
		b.ReportMetric(per(ours-c.ours, items), "us-cpu/item")
		b.ReportMetric(per(engine-c.engine, items), "us-redis/item")
		b.ReportMetric(float64(sent)/float64(max(1, batches)), "items/batch")
	}
}
