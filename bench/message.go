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
func (f *Fleet) Message(ctx context.Context, cfg MessageConfig) (MessageResult, error) {
	if cfg.Warmup <= 0 {
		cfg.Warmup = time.Second
	}
	if cfg.Duration <= 0 {
		cfg.Duration = 10 * time.Second
	}
	clients := f.Clients()
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
	f.listen(t.received)
	defer f.listen(nil)
	ctx, cancel := context.WithTimeout(ctx, cfg.Warmup+cfg.Duration)
	defer cancel()
	if t.answer {
		for i := range cfg.Pairs {
			clients[2*i].Message(t.peers[clients[2*i]])
		}
	} else {
		go t.atRate(ctx, clients[:2*cfg.Pairs], cfg.Rate)
	}
	return t.measure(ctx, cfg, len(clients))
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

func (t *talk) measure(ctx context.Context, cfg MessageConfig, sessions int) (MessageResult, error) {
	select {
	case <-ctx.Done():
	case <-time.After(cfg.Warmup):
	}
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
	r := MessageResult{Pairs: cfg.Pairs, Sessions: sessions}
	var bytes int64
	for i := range t.counts {
		r.Messages += t.counts[i].n.Load()
		bytes += t.counts[i].bytes.Load()
	}
	r.PerSecond = float64(r.Messages) / took.Seconds()
	r.Latency = summary(t.hists)
	if r.Messages > 0 {
		r.CPUPerMessage = us(after.CPU-before.CPU) / float64(r.Messages)
		r.Bytes = float64(bytes) / float64(r.Messages)
	}
	return r, nil
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// serverUsage is ReadUsage, and nothing for no process.
func serverUsage(pid int) (Usage, error) {
	if pid == 0 {
		return Usage{}, nil
	}
	return ReadUsage(pid)
}
