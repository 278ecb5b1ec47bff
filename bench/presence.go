package bench

import (
	"bytes"
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"roost/parser"
)

// PresenceConfig configures a run of Presence.
type PresenceConfig struct {
	Contacts int           // mutual contacts of each client: its neighbours by number, on both sides; see neighbours
	Rate     float64       // total presence changes per second; default 100
	Duration time.Duration // measured time; default 10 s
	Servers  []int         // processes whose CPU time is measured; nil: none
}

// PresenceResult is the result of Presence.
type PresenceResult struct {
	Sessions       int      `json:"sessions"`
	Lost           int      `json:"lost"` // clients that were disconnected
	Errors         []string `json:"errors,omitempty"`
	Contacts       int      `json:"contacts"` // of each client, which may be one more than requested
	Changes        int64    `json:"changes"`
	Delivered      int64    `json:"delivered"`                            // to contacts, without the echo to the sender
	PerSecond      float64  `json:"per_second"`                           // delivered, until the last one was
	ServerCPU      float64  `json:"server_cpu_s,omitempty"`               // seconds
	CPUPerPresence float64  `json:"server_cpu_us_per_presence,omitempty"` // delivered
	Latency        Latency  `json:"latency"`
}

// quietPeriod is the time without deliveries after which those that are missing are given
// up. It is long because the machine may be busy.
var quietPeriod = 10 * time.Second // only tests change it

// befriend makes neighbours mutual contacts: each client requests subscriptions and
// approves all requests. The server leaves existing contacts unchanged. It returns when the
// server has nothing more to tell the clients about that: they have all sent it a request,
// received the reply, and nothing else in between.
func (cs *Clients) befriend(ctx context.Context, contacts int) error {
	var heard, replies atomic.Int64
	cs.setOnStanza(func(_ int, c *Client, el parser.Element) {
		switch {
		case string(el.Local()) == "iq" && string(el.Attr("id")) == settleID:
			replies.Add(1)
			return
		case string(el.Local()) == "presence" && string(el.Attr("type")) == "subscribe":
			c.send("<presence type='subscribed' to='" + string(parser.AppendEscaped(nil, el.Attr("from"))) + "'/>")
		}
		heard.Add(1)
	})
	defer cs.setOnStanza(nil)
	clients := cs.All()
	for i, c := range clients {
		for d := 1; d <= contacts; d++ {
			c.send("<presence type='subscribe' to='" + clients[neighbour(i, d, len(clients))].account.JID() + "'/>")
		}
		if i%50 == 0 {
			if err := sleep(ctx, 50*time.Millisecond); err != nil { // the server's outboxes are limited
				return err
			}
		}
	}
	for before := int64(-1); before != heard.Load(); {
		before = heard.Load()
		replies.Store(0)
		for _, c := range clients {
			c.send("<iq type='get' id='" + settleID + "' to='" + c.account.JID() + "'><ping xmlns='urn:xmpp:ping'/></iq>")
		}
		last, count := time.Now(), int64(0)
		for replies.Load() < int64(len(clients)) && time.Since(last) < quietPeriod {
			if err := sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
			if n := replies.Load() + heard.Load(); n != count {
				last, count = time.Now(), n
			}
		}
	}
	return nil
}

// settleID is the id of the requests of befriend.
const settleID = "settle"

// neighbour returns the d-th contact of client i of n, alternating between both sides.
func neighbour(i, d, n int) int {
	away := (d + 1) / 2
	if d%2 == 0 {
		away = -away
	}
	return ((i+away)%n + n) % n
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Presence makes clients contacts of each other and then lets them change their presence.
func (cs *Clients) Presence(ctx context.Context, cfg PresenceConfig) (PresenceResult, error) {
	if cfg.Rate <= 0 {
		cfg.Rate = 100
	}
	if cfg.Duration <= 0 {
		cfg.Duration = 10 * time.Second
	}
	clients := cs.All()
	r := PresenceResult{Sessions: len(clients), Contacts: neighbours(cfg.Contacts, len(clients))}
	if len(clients) < cfg.Contacts+1 {
		return r, errFewContacts
	}
	cs.enter(phaseContacts, nil)
	if err := cs.befriend(ctx, cfg.Contacts); err != nil {
		return r, err
	}
	if err := cs.sync(ctx); err != nil {
		return r, err
	}
	times := newLoopLatencies(cs.cfg.Loops)
	counts := make([]paddedCount, cs.cfg.Loops)
	cs.setOnStanza(func(loop int, c *Client, el parser.Element) {
		if string(el.Local()) != "presence" || bytes.Equal(el.Attr("from"), []byte(c.FullJID())) {
			return
		}
		var buf [64]byte
		if sent, ok := departure(el.Child(clientNS, "status").AppendText(buf[:0])); ok {
			times[loop].record(time.Since(sent))
			counts[loop].n.Add(1)
		}
	})
	defer cs.setOnStanza(nil)
	cs.enter(phasePresence, func() int64 { return total(counts) })
	before, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	start := time.Now()
	r.Changes = cs.changePresence(ctx, clients, cfg)
	end := awaitDelivery(ctx, counts, r.Changes*int64(r.Contacts))
	after, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	r.Delivered = total(counts)
	r.PerSecond = float64(r.Delivered) / end.Sub(start).Seconds()
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	r.Latency = ofLoops(times)
	r.Lost, r.Errors = cs.disconnected()
	r.derive()
	return r, ctx.Err()
}

// derive computes the derived figures.
func (r *PresenceResult) derive() {
	if r.Delivered > 0 {
		r.CPUPerPresence = 1e6 * r.ServerCPU / float64(r.Delivered)
	}
}

func (r *PresenceResult) add(o PresenceResult) {
	r.Sessions += o.Sessions
	r.Lost += o.Lost
	r.Errors = joinErrors(r.Errors, o.Errors)
	r.Changes += o.Changes
	r.Delivered += o.Delivered
	r.PerSecond += o.PerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *PresenceResult) latency() *Latency { return &r.Latency }

// awaitDelivery waits until this many presence stanzas have been delivered, or none for
// quietPeriod. It returns when the last one was.
func awaitDelivery(ctx context.Context, counts []paddedCount, want int64) (last time.Time) {
	have, last := total(counts), time.Now()
	for have < want && time.Since(last) < quietPeriod {
		if sleep(ctx, 10*time.Millisecond) != nil {
			return last
		}
		if n := total(counts); n > have {
			have, last = n, time.Now()
		}
	}
	return last
}

// neighbours returns the number of contacts of each of n clients if each requests the
// given number: contacts are mutual, so there is one on each side.
func neighbours(contacts, n int) int { return min(2*((contacts+1)/2), n-1) }

// changePresence lets one client after another change its presence. It leaves some time
// for deliveries to contacts from an earlier run, which awaitDelivery does not expect.
func (cs *Clients) changePresence(ctx context.Context, clients []*Client, cfg PresenceConfig) (sent int64) {
	const tick = 5 * time.Millisecond
	start := time.Now()
	for time.Since(start) < cfg.Duration {
		for due := int64(time.Since(start).Seconds() * cfg.Rate); sent < due; sent++ {
			b := append([]byte("<presence><status>"), markerText...)
			b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
			clients[int(sent)%len(clients)].write(append(b, " .</status></presence>"...))
		}
		if sleep(ctx, tick) != nil {
			return sent
		}
	}
	_ = sleep(ctx, 200*time.Millisecond)
	return sent
}
