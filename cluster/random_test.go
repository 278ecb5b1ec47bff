package cluster

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestFaults: whatever happens to the network and to Redis, each item is handled once or
// returned, in order, and an item that is returned as not handled was not.
func TestFaults(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) { faults(t, seed) })
	}
}

func faults(t *testing.T, seed uint64) {
	const accounts, items = 5, 400
	server := redistest.Start(t)
	proxies := [2]*redistest.Proxy{redistest.StartProxy(t, server.Addr), redistest.StartProxy(t, server.Addr)}
	nodes, handlers := pair(t, proxies[0].URL(), proxies[1].URL())
	var senders sync.WaitGroup
	for a := range accounts {
		senders.Go(func() {
			pace := rand.New(rand.NewPCG(seed, uint64(a)))
			for i := range items {
				from := i % 2
				if !nodes[from].Send(nodes[1-from].Self(), fmt.Sprintf("u%d@x", a), fmt.Append(nil, i)) {
					t.Error("the queue is full")
				}
				if pace.IntN(4) == 0 {
					<-time.After(time.Duration(pace.IntN(2000)) * time.Microsecond)
				}
			}
		})
	}
	chaos := rand.New(rand.NewPCG(seed, 99))
	for range 15 {
		p := proxies[chaos.IntN(2)]
		switch chaos.IntN(6) {
		case 0, 1:
			p.Drop()
		case 2:
			p.Cut()
			<-time.After(time.Duration(chaos.IntN(100)) * time.Millisecond)
			p.Mend()
		case 3:
			p.Freeze()
			<-time.After(time.Duration(chaos.IntN(100)) * time.Millisecond)
			p.Mend()
		case 4:
			server.Kill()
			server.Restart()
		case 5:
			p.Delay(time.Duration(chaos.IntN(5)) * time.Millisecond)
		}
		<-time.After(time.Duration(chaos.IntN(50)) * time.Millisecond)
	}
	senders.Wait()
	count := func() int {
		return len(handlers[0].Items()) + len(handlers[1].Items()) + len(handlers[0].Returned()) + len(handlers[1].Returned())
	}
	xmpptest.Eventually(t, "all items are handled or returned", func() bool { return count() >= accounts*items })
	outcome := make(map[string]string)
	for i, h := range handlers {
		last := make(map[string]int)
		for _, item := range h.Items() {
			var number int
			if _, err := fmt.Sscan(item.Text, &number); err != nil || number%2 == i {
				t.Fatalf("node %d has %+v", i, item)
			}
			key := item.Account + " " + item.Text
			if outcome[key] != "" {
				t.Errorf("%s was handled twice", key)
			}
			outcome[key] = "handled"
			if before, ok := last[item.Account]; ok && number < before {
				t.Errorf("%s: %d after %d", item.Account, number, before)
			}
			last[item.Account] = number
		}
	}
	returned := 0
	for _, h := range handlers {
		for _, item := range h.Returned() {
			key := item.Account + " " + item.Text
			if outcome[key] == "handled" && !item.Again {
				t.Errorf("%s was handled, and returned as not handled", key)
			}
			if outcome[key] == "returned" {
				t.Errorf("%s was returned twice", key)
			}
			if outcome[key] == "" {
				outcome[key] = "returned"
			}
			returned++
		}
	}
	if len(outcome) != accounts*items {
		t.Errorf("%d items were handled or returned, want %d", len(outcome), accounts*items)
	}
	s := nodes[0].Stats()
	t.Logf("%d of %d items were returned; node a: %+v", returned, accounts*items, s)
}
