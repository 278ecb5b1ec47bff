package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ResumeConfig configures a run of Resume.
type ResumeConfig struct {
	Pairs   int   // number of pairs, made of the first 2*Pairs clients
	Count   int   // number of resumptions in total
	Gap     int   // messages that are sent to a client while it is disconnected; 0: none
	Roam    bool  // each connection is to the next of Config.Targets
	Servers []int // processes whose CPU time is measured; nil: none
}

// ResumeResult is the result of Resume.
type ResumeResult struct {
	Pairs            int      `json:"pairs"`
	Resumptions      int64    `json:"resumptions"`
	Failed           int      `json:"failed"` // clients that could not resume their session, and stopped
	Errors           []string `json:"errors,omitempty"`
	Messages         int64    `json:"messages"`   // sent while their recipients were disconnected
	Lost             int64    `json:"lost"`       // messages that did not arrive
	Twice            int64    `json:"twice"`      // messages that arrived again
	Disordered       int64    `json:"disordered"` // messages that arrived after a later one
	PerSecond        float64  `json:"per_second"`
	ServerCPU        float64  `json:"server_cpu_s,omitempty"`                 // seconds
	CPUPerResumption float64  `json:"server_cpu_us_per_resumption,omitempty"` // with the messages
	Latency          Latency  `json:"latency"`                                // from connecting to <resumed/>
}

// resumeRun is a run of Resume.
type resumeRun struct {
	cs    *Clients
	cfg   ResumeConfig
	ctx   context.Context
	first uint64 // number of the first message of each phone; those of earlier runs are lower
	left  atomic.Int64
	done  atomic.Int64 // resumptions
	going sync.WaitGroup

	mu  sync.Mutex
	sum ResumeResult // of the phones that have ended
}

// Errors of resumptions.
var (
	errNoResume   = errors.New("the server does not let clients resume their sessions")
	errLostBefore = errors.New("the client lost its connection before")
	errResumedSM  = errors.New("bench: resumption needs clients with Config.SM")
	errOneTarget  = errors.New("bench: to roam, clients need several of Config.Targets")
)

// Resume lets one client of each pair, as fast as possible, lose its connection and resume its
// session. Meanwhile the other sends it messages. All of them have to arrive once, in order.
func (cs *Clients) Resume(ctx context.Context, cfg ResumeConfig) (r ResumeResult, err error) {
	clients := cs.All()
	switch {
	case cfg.Pairs <= 0 || len(clients) < 2*cfg.Pairs:
		return r, errFew
	case !cs.cfg.SM:
		return r, errResumedSM
	case cfg.Roam && len(cs.cfg.Targets) < 2:
		return r, errOneTarget
	}
	if err := cs.sync(ctx); err != nil {
		return r, err
	}
	run := &resumeRun{cs: cs, cfg: cfg, ctx: ctx, first: uint64(time.Now().UnixMilli()) << 20}
	run.left.Store(int64(cfg.Count))
	hist := cs.timeLogins()
	cs.setOnStanza(onPhone)
	defer cs.setOnStanza(nil)
	cs.enter(phaseResume, run.done.Load)
	before, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	start := time.Now()
	for i := range cfg.Pairs {
		run.start(2*i, clients[2*i], clients[2*i+1])
	}
	if err := run.wait(); err != nil {
		return r, err
	}
	took := time.Since(start)
	after, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	r = run.result()
	r.PerSecond = float64(r.Resumptions) / took.Seconds()
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	r.Latency = hist()
	r.derive()
	return r, nil
}

// wait returns when all phones have ended, or an error when the context has.
func (run *resumeRun) wait() error {
	all := make(chan struct{})
	go func() {
		run.going.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-run.ctx.Done():
		// The phones end with their connections, and no new connection is made.
		return run.ctx.Err()
	}
}

func (run *resumeRun) result() ResumeResult {
	run.mu.Lock()
	defer run.mu.Unlock()
	r := run.sum
	r.Pairs, r.Resumptions = run.cfg.Pairs, run.done.Load()
	return r
}

// ended adds the counts of a phone. err is nil if it has received its last message.
func (run *resumeRun) ended(p *phone, err error) {
	run.mu.Lock()
	if err != nil {
		run.sum.Failed++
		run.sum.Errors = joinErrors(run.sum.Errors, []string{p.account.JID() + ": " + err.Error()})
	}
	run.sum.Messages += p.messages
	run.sum.Lost += int64(len(p.missing)) + int64(p.sent-p.next)
	run.sum.Twice += p.twice
	run.sum.Disordered += p.disordered
	run.mu.Unlock()
	run.going.Done()
}

// derive computes the derived figures.
func (r *ResumeResult) derive() {
	if r.Resumptions > 0 {
		r.CPUPerResumption = 1e6 * r.ServerCPU / float64(r.Resumptions)
	}
}

func (r *ResumeResult) add(o ResumeResult) {
	r.Pairs += o.Pairs
	r.Resumptions += o.Resumptions
	r.Failed += o.Failed
	r.Errors = joinErrors(r.Errors, o.Errors)
	r.Messages += o.Messages
	r.Lost += o.Lost
	r.Twice += o.Twice
	r.Disordered += o.Disordered
	r.PerSecond += o.PerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *ResumeResult) latency() *Latency { return &r.Latency }
