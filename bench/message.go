package bench

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"roost/parser"
)

// MessageConfig says how clients talk.
type MessageConfig struct {
	Pairs     int           // pairs of clients, the first 2*Pairs of the fleet
	Rate      float64       // messages per second in all; 0: each answers at once
	Warmup    time.Duration // not counted; default 1 s
	Duration  time.Duration // counted; default 10 s
	ServerPID int           // process whose CPU is counted; 0: none
}

// MessageResult is what came of it.
type MessageResult struct {
	Pairs         int     `json:"pairs"`
	Sessions      int     `json:"sessions"`
	Messages      int64   `json:"messages"` // delivered
	PerSecond     float64 `json:"per_second"`
	ServerCPU     float64 `json:"server_cpu_s,omitempty"` // seconds
	CPUPerMessage float64 `json:"server_cpu_us_per_message,omitempty"`
	Bytes         float64 `json:"bytes_per_message"` // as delivered
	Latency       Latency `json:"latency"`
}

// talk is a conversation of many pairs under way.
type talk struct {
	peers   map[*Client]string // full JID of the other one
	answer  bool
	counted atomic.Bool // warm-up is over
	hists   []*hdrhistogram.Histogram
	counts  []paddedCount
}

// paddedCount keeps loops from writing to one another's cache lines.
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

// markerText introduces the time of departure in a message's body.
const markerText = "bench "

// appendMessage appends a chat message that carries its time of departure.
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

// departure is the time that a message's body carries.
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

func (t *talk) received(loop int, c *Client, el parser.Element) {
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
		record(t.hists[loop], time.Since(sent))
		t.counts[loop].n.Add(1)
		t.counts[loop].bytes.Add(int64(len(el.Raw())))
	}
	if t.answer {
		c.Message(to)
	}
}

// What says that a fleet is too small.
var (
	errFew         = errors.New("bench: there are fewer sessions than two for each pair")
	errFewContacts = errors.New("bench: there are no more sessions than contacts of each")
)

// Message lets pairs of clients exchange messages.
func (f *Clients) Message(ctx context.Context, cfg MessageConfig) (MessageResult, error) {
	if cfg.Warmup <= 0 {
		cfg.Warmup = time.Second
	}
	if cfg.Duration <= 0 {
		cfg.Duration = 10 * time.Second
	}
	clients := f.All()
	if cfg.Pairs <= 0 || len(clients) < 2*cfg.Pairs {
		return MessageResult{}, errFew
	}
	t := &talk{peers: make(map[*Client]string, 2*cfg.Pairs), answer: cfg.Rate == 0, counts: make([]paddedCount, f.cfg.Loops)}
	for range f.cfg.Loops {
		t.hists = append(t.hists, newHistogram())
	}
	for i := range cfg.Pairs {
		a, b := clients[2*i], clients[2*i+1]
		t.peers[a], t.peers[b] = b.FullJID(), a.FullJID()
	}
	if err := f.sync(ctx); err != nil {
		return MessageResult{}, err
	}
	f.listen(t.received)
	defer f.listen(nil)
	f.enter(phaseWarmup, nil)
	ctx, cancel := context.WithTimeout(ctx, cfg.Warmup+cfg.Duration)
	defer cancel()
	if t.answer {
		for i := range cfg.Pairs {
			clients[2*i].Message(t.peers[clients[2*i]])
		}
	} else {
		go t.atRate(ctx, clients[:2*cfg.Pairs], cfg.Rate)
	}
	return t.measure(ctx, f, cfg)
}

// atRate sends messages at a steady pace, whether they are answered or not.
func (t *talk) atRate(ctx context.Context, clients []*Client, rate float64) {
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

// measure counts what arrives once the warm-up is over.
func (t *talk) measure(ctx context.Context, f *Clients, cfg MessageConfig) (MessageResult, error) {
	_ = rest(ctx, cfg.Warmup)
	f.enter(phaseMessages, func() int64 { return total(t.counts) })
	before, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return MessageResult{}, err
	}
	t.counted.Store(true)
	start := time.Now()
	<-ctx.Done()
	t.counted.Store(false)
	took := time.Since(start)
	after, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return MessageResult{}, err
	}
	r := MessageResult{Pairs: cfg.Pairs, Sessions: len(f.All()), Messages: total(t.counts), Latency: summary(t.hists)}
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

// derive computes what follows from the other figures.
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
	r.Messages += o.Messages
	r.PerSecond += o.PerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *MessageResult) latency() *Latency { return &r.Latency }

// serverUsage is ReadUsage, and nothing for no process.
func serverUsage(pid int) (Usage, error) {
	if pid == 0 {
		return Usage{}, nil
	}
	return ReadUsage(pid)
}
