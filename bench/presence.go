package bench

import (
	"bytes"
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"roost/parser"
)

// PresenceConfig says who sees whom, and how often they change.
type PresenceConfig struct {
	Contacts  int           // mutual contacts of each client: its neighbours by number
	Rate      float64       // changes of presence per second in all; default 100
	Duration  time.Duration // counted; default 10 s
	ServerPID int           // process whose CPU is counted; 0: none
}

// PresenceResult is what came of it.
type PresenceResult struct {
	Sessions       int     `json:"sessions"`
	Contacts       int     `json:"contacts"`
	Changes        int64   `json:"changes"`
	Delivered      int64   `json:"delivered"` // to contacts, not counting the echo
	PerSecond      float64 `json:"per_second"`
	ServerCPU      float64 `json:"server_cpu_s,omitempty"`               // seconds
	CPUPerPresence float64 `json:"server_cpu_us_per_presence,omitempty"` // delivered
	Latency        Latency `json:"latency"`
}

// quiet is how long nothing may come before befriending is taken to be over.
const quiet = 2 * time.Second

// befriend makes neighbours mutual contacts: everybody asks, and everybody
// agrees. Contacts that exist already are left as they are by the server.
func (f *Clients) befriend(ctx context.Context, contacts int) error {
	var last atomic.Int64
	touch := func() { last.Store(time.Now().UnixNano()) }
	touch()
	f.listen(func(_ int, c *Client, el parser.Element) {
		touch()
		if string(el.Local()) == "presence" && string(el.Attr("type")) == "subscribe" {
			c.send("<presence type='subscribed' to='" + string(parser.AppendEscaped(nil, el.Attr("from"))) + "'/>")
		}
	})
	defer f.listen(nil)
	clients := f.All()
	for i, c := range clients {
		for d := 1; d <= contacts; d++ {
			c.send("<presence type='subscribe' to='" + clients[neighbour(i, d, len(clients))].account.JID() + "'/>")
		}
		if i%50 == 0 {
			if err := rest(ctx, 50*time.Millisecond); err != nil { // the server's outboxes are bounded
				return err
			}
		}
	}
	for time.Since(time.Unix(0, last.Load())) < quiet {
		if err := rest(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// neighbour is the d-th contact of client i of n, on both sides of it in turn.
func neighbour(i, d, n int) int {
	away := (d + 1) / 2
	if d%2 == 0 {
		away = -away
	}
	return ((i+away)%n + n) % n
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Presence makes contacts, and then has clients change their presence.
func (f *Clients) Presence(ctx context.Context, cfg PresenceConfig) (PresenceResult, error) {
	if cfg.Rate <= 0 {
		cfg.Rate = 100
	}
	if cfg.Duration <= 0 {
		cfg.Duration = 10 * time.Second
	}
	clients := f.All()
	r := PresenceResult{Sessions: len(clients), Contacts: cfg.Contacts}
	if len(clients) < cfg.Contacts+1 {
		return r, errFewContacts
	}
	f.enter(phaseContacts, nil)
	if err := f.befriend(ctx, cfg.Contacts); err != nil {
		return r, err
	}
	if err := f.sync(ctx); err != nil {
		return r, err
	}
	hists := make([]*hdrhistogram.Histogram, f.cfg.Loops)
	counts := make([]paddedCount, f.cfg.Loops)
	for i := range hists {
		hists[i] = newHistogram()
	}
	f.listen(func(loop int, c *Client, el parser.Element) {
		if string(el.Local()) != "presence" || bytes.Equal(el.Attr("from"), []byte(c.FullJID())) {
			return
		}
		var buf [64]byte
		if sent, ok := departure(el.Child(clientNS, "status").AppendText(buf[:0])); ok {
			record(hists[loop], time.Since(sent))
			counts[loop].n.Add(1)
		}
	})
	defer f.listen(nil)
	f.enter(phasePresence, func() int64 { return total(counts) })
	before, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	start := time.Now()
	r.Changes = f.changes(ctx, clients, cfg)
	f.arrive(ctx, counts, r.Changes*int64(neighbours(cfg.Contacts, len(clients))))
	after, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	r.Delivered = total(counts)
	r.PerSecond = float64(r.Delivered) / time.Since(start).Seconds()
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	r.Latency = summary(hists)
	r.derive()
	return r, ctx.Err()
}

// derive computes what follows from the other figures.
func (r *PresenceResult) derive() {
	if r.Delivered > 0 {
		r.CPUPerPresence = 1e6 * r.ServerCPU / float64(r.Delivered)
	}
}

func (r *PresenceResult) add(o PresenceResult) {
	r.Sessions += o.Sessions
	r.Changes += o.Changes
	r.Delivered += o.Delivered
	r.PerSecond += o.PerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *PresenceResult) latency() *Latency { return &r.Latency }

// arrive waits until so many presences have been delivered, or none for some time:
// how long the last ones take depends on the machine.
func (f *Clients) arrive(ctx context.Context, counts []paddedCount, want int64) {
	have, last := total(counts), time.Now()
	for have < want && time.Since(last) < quiet {
		if rest(ctx, 10*time.Millisecond) != nil {
			return
		}
		if n := total(counts); n > have {
			have, last = n, time.Now()
		}
	}
}

// neighbours is the number of contacts of each of n clients when each has asked that
// many: contacts are mutual, so that there is one on each side.
func neighbours(contacts, n int) int { return min(2*((contacts+1)/2), n-1) }

// changes has one client after another change its presence. It leaves some time for
// deliveries to contacts from an earlier run, of which arrive does not know.
func (f *Clients) changes(ctx context.Context, clients []*Client, cfg PresenceConfig) (sent int64) {
	const tick = 5 * time.Millisecond
	start := time.Now()
	for time.Since(start) < cfg.Duration {
		for due := int64(time.Since(start).Seconds() * cfg.Rate); sent < due; sent++ {
			b := append([]byte("<presence><status>"), markerText...)
			b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
			clients[int(sent)%len(clients)].write(append(b, " .</status></presence>"...))
		}
		if rest(ctx, tick) != nil {
			return sent
		}
	}
	_ = rest(ctx, 200*time.Millisecond)
	return sent
}
