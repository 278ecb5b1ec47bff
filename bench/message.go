package bench

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"roost/parser"
)

// MessageConfig configures a run of Message.
type MessageConfig struct {
	Pairs    int           // number of pairs, made of the first 2*Pairs clients
	Rate     float64       // total messages per second; 0: each client replies at once
	Warmup   time.Duration // not measured
	Duration time.Duration // measured time; default 10 s
	Servers  []int         // processes whose CPU time is measured; nil: none
}

// MessageResult is the result of Message.
type MessageResult struct {
	Pairs         int      `json:"pairs"`
	Sessions      int      `json:"sessions"`
	Lost          int      `json:"lost"` // clients that were disconnected
	Errors        []string `json:"errors,omitempty"`
	Messages      int64    `json:"messages"` // delivered
	PerSecond     float64  `json:"per_second"`
	ServerCPU     float64  `json:"server_cpu_s,omitempty"` // seconds
	CPUPerMessage float64  `json:"server_cpu_us_per_message,omitempty"`
	Bytes         float64  `json:"bytes_per_message"` // as delivered
	Latency       Latency  `json:"latency"`
}

// conversation is the conversation of many pairs of clients.
type conversation struct {
	peers   map[*Client]string // full JID of each client's partner
	answer  bool
	counted atomic.Bool // the warm-up is over
	times   []*loopLatencies
	counts  []paddedCount
}

// paddedCount is padded so that loops do not write to the same cache line.
type paddedCount struct {
	n, bytes atomic.Int64
	_        [48]byte
}

func total(counts []paddedCount) (n int64) {
	for i := range counts {
		n += counts[i].n.Load()
	}
	return n
}

// markerText precedes the send time in a message's body.
const markerText = "bench "

// appendMessage appends a chat message that contains the time at which it was sent.
func appendMessage(b []byte, id uint64, from, to string) []byte {
	b = append(b, "<message type='chat' id='"...)
	b = strconv.AppendUint(b, id, 36)
	if from != "" {
		b = append(b, "' from='"...)
		b = append(b, from...)
	}
	b = append(b, "' to='"...)
	b = append(b, to...)
	b = append(b, "'><body>"+markerText...)
	b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
	return append(b, " and then some words, as people write them to each other.</body></message>"...)
}

// departure returns the send time in a message's body.
func departure(body []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(body, []byte(markerText))
	if !ok {
		return time.Time{}, false
	}
	digits, _, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Unix(0, n), err == nil
}

func (t *conversation) received(loop int, c *Client, el parser.Element) {
	if string(el.Local()) != "message" {
		return
	}
	to, ok := t.peers[c]
	if !ok {
		return
	}
	var buf [256]byte
	sent, ok := departure(el.Child(clientNS, "body").AppendText(buf[:0]))
	if !ok {
		return
	}
	if t.counted.Load() {
		t.times[loop].record(time.Since(sent))
		t.counts[loop].n.Add(1)
		t.counts[loop].bytes.Add(int64(len(el.Raw())))
	}
	if t.answer {
		c.Message(to)
	}
}

// Errors for too few clients.
var (
	errFew         = errors.New("bench: there are fewer than two sessions for each pair")
	errFewContacts = errors.New("bench: there must be more sessions than contacts of each")
)

// Message lets pairs of clients exchange messages.
func (cs *Clients) Message(ctx context.Context, cfg MessageConfig) (MessageResult, error) {
	if cfg.Duration <= 0 {
		cfg.Duration = 10 * time.Second
	}
	clients := cs.All()
	if cfg.Pairs <= 0 || len(clients) < 2*cfg.Pairs {
		return MessageResult{}, errFew
	}
	t := &conversation{peers: make(map[*Client]string, 2*cfg.Pairs), answer: cfg.Rate == 0,
		counts: make([]paddedCount, cs.cfg.Loops), times: newLoopLatencies(cs.cfg.Loops)}
	for i := range cfg.Pairs {
		a, b := clients[2*i], clients[2*i+1]
		t.peers[a], t.peers[b] = b.FullJID(), a.FullJID()
	}
	if err := cs.sync(ctx); err != nil {
		return MessageResult{}, err
	}
	cs.setOnStanza(t.received)
	defer cs.setOnStanza(nil)
	cs.enter(phaseWarmup, nil)
	ctx, cancel := context.WithTimeout(ctx, cfg.Warmup+cfg.Duration)
	defer cancel()
	if t.answer {
		for i := range cfg.Pairs {
			clients[2*i].Message(t.peers[clients[2*i]])
		}
	} else {
		go t.atRate(ctx, clients[:2*cfg.Pairs], cfg.Rate)
	}
	return t.measure(ctx, cs, cfg)
}

// atRate sends messages at a constant rate, without waiting for replies.
func (t *conversation) atRate(ctx context.Context, clients []*Client, rate float64) {
	const tick = 5 * time.Millisecond
	start := time.Now()
	sent := 0
	for ticker := time.NewTicker(tick); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
		for due := int(time.Since(start).Seconds() * rate); sent < due; sent++ {
			c := clients[sent%len(clients)]
			c.Message(t.peers[c])
		}
	}
}

// measure counts deliveries after the warm-up.
func (t *conversation) measure(ctx context.Context, cs *Clients, cfg MessageConfig) (MessageResult, error) {
	_ = sleep(ctx, cfg.Warmup)
	cs.enter(phaseMessages, func() int64 { return total(t.counts) })
	before, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return MessageResult{}, err
	}
	t.counted.Store(true)
	start := time.Now()
	<-ctx.Done()
	t.counted.Store(false)
	took := time.Since(start)
	after, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return MessageResult{}, err
	}
	r := MessageResult{Pairs: cfg.Pairs, Sessions: len(cs.All()), Messages: total(t.counts), Latency: ofLoops(t.times)}
	r.Lost, r.Errors = cs.disconnected()
	r.PerSecond = float64(r.Messages) / took.Seconds()
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	if r.Messages > 0 {
		bytes := int64(0)
		for i := range t.counts {
			bytes += t.counts[i].bytes.Load()
		}
		r.Bytes = float64(bytes) / float64(r.Messages)
	}
	r.derive()
	return r, nil
}

// derive computes the derived figures.
func (r *MessageResult) derive() {
	if r.Messages > 0 {
		r.CPUPerMessage = 1e6 * r.ServerCPU / float64(r.Messages)
	}
}

func (r *MessageResult) add(o MessageResult) {
	if n := r.Messages + o.Messages; n > 0 {
		r.Bytes = (r.Bytes*float64(r.Messages) + o.Bytes*float64(o.Messages)) / float64(n)
	}
	r.Pairs += o.Pairs
	r.Sessions += o.Sessions
	r.Lost += o.Lost
	r.Errors = joinErrors(r.Errors, o.Errors)
	r.Messages += o.Messages
	r.PerSecond += o.PerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *MessageResult) latency() *Latency { return &r.Latency }
