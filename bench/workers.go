package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A scenario can be shared by several synchronized worker processes, because one process
// may open only a limited number of files. Each worker writes reports, one JSON object
// per line, to its standard output, and reads a line from its standard input when all
// workers have reached a synchronization point.

// report is one message of a worker. One of its fields is set.
type report struct {
	Status    *Status                `json:"status,omitempty"`
	Wait      bool                   `json:"wait,omitempty"` // waits for the other processes
	Result    json.RawMessage        `json:"result,omitempty"`
	Histogram *hdrhistogram.Snapshot `json:"histogram,omitempty"` // of the result's latencies
	Error     string                 `json:"error,omitempty"`
}

// Result is implemented by the results of all scenarios.
type Result[R any] interface {
	*R
	add(o R) // adds the result of another process
	latency() *Latency
}

// Worker is a worker process's connection to the process that started it.
type Worker struct {
	mu      sync.Mutex
	out     *json.Encoder
	release chan struct{}
}

// NewWorker returns a Worker that communicates over in and out. It calls cancel when in
// ends.
func NewWorker(in io.Reader, out io.Writer, cancel func()) *Worker {
	w := &Worker{out: json.NewEncoder(out), release: make(chan struct{})}
	go func() {
		for s := bufio.NewScanner(in); s.Scan(); {
			w.release <- struct{}{}
		}
		cancel()
	}()
	return w
}

func (w *Worker) say(r report) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Encode(r)
}

// Sync implements Config.Sync.
func (w *Worker) Sync(ctx context.Context) error {
	if err := w.say(report{Wait: true}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.release:
		return nil
	}
}

// Work runs a worker's part of a scenario with clients that use this worker's Sync, and
// reports the result. It returns when all workers have finished, so that no clients leave
// while others are measuring.
func Work[R any, P Result[R]](ctx context.Context, w *Worker, f *Clients, part func() (R, error)) error {
	stop := Every(statusEvery, func() { s := f.Status(); _ = w.say(report{Status: &s}) })
	r, err := part()
	stop()
	if err != nil {
		return errors.Join(w.say(report{Error: err.Error()}), err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	last := report{Result: text}
	if l := P(&r).latency(); l != nil {
		last.Histogram = l.hist.Export()
	}
	if err := w.say(last); err != nil {
		return err
	}
	return w.Sync(ctx)
}

// statusEvery is the interval at which workers report their status.
const statusEvery = 400 * time.Millisecond

// Workers are the worker processes of a scenario, as seen by the process that started
// them.
type Workers struct {
	workers []*workerProcess
	reports chan workerReport

	mu       sync.Mutex
	statuses []Status
}

type workerProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// workerReport is a report with the number of its worker.
type workerReport struct {
	report
	from int
	err  error // read error: the worker has ended
}

// StartWorkers starts n workers. Their processes end when ctx is done.
func StartWorkers(ctx context.Context, n int, command func(ctx context.Context, i int) *exec.Cmd) (*Workers, error) {
	c := &Workers{reports: make(chan workerReport), statuses: make([]Status, n)}
	for i := range n {
		cmd := command(ctx, i)
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("bench: process %d: %w", i, err)
		}
		c.workers = append(c.workers, &workerProcess{cmd, in})
		go c.listen(ctx, i, json.NewDecoder(out))
	}
	return c, nil
}

func (c *Workers) listen(ctx context.Context, i int, from *json.Decoder) {
	for {
		r := workerReport{from: i}
		r.err = from.Decode(&r.report)
		if r.Status != nil {
			c.mu.Lock()
			c.statuses[i] = *r.Status
			c.mu.Unlock()
			continue
		}
		select {
		case c.reports <- r:
		case <-ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
	}
}

// Status returns the sum of all workers' statuses.
func (c *Workers) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum Status
	for _, s := range c.statuses {
		sum = sum.plus(s)
	}
	return sum
}

// Merge coordinates the workers through their scenario and merges their results into one.
// servers are the process IDs of the measured servers.
func Merge[R any, P Result[R]](ctx context.Context, c *Workers, servers []int) (R, error) {
	stop := sampleMemory(servers, func() int { return c.Status().Online })
	sum, err := coordinate[R, P](ctx, c)
	samples := stop()
	if g, ok := any(&sum).(memorySeries); ok {
		g.setGrowth(samples)
	}
	for _, w := range c.workers {
		_ = w.in.Close() // ends a worker that still runs
		if e := w.cmd.Wait(); e != nil && err == nil {
			err = fmt.Errorf("bench: a process failed: %w", e)
		}
	}
	return sum, err
}

// memorySeries is a result with the server's memory over the number of clients of all
// processes.
type memorySeries interface{ setGrowth(samples []Sample) }

func coordinate[R any, P Result[R]](ctx context.Context, c *Workers) (sum R, err error) {
	waiting, results := 0, 0
	for {
		var r workerReport
		select {
		case <-ctx.Done():
			return sum, ctx.Err()
		case r = <-c.reports:
		}
		switch {
		case r.err != nil:
			return sum, fmt.Errorf("bench: process %d ended before the others: %w", r.from, r.err)
		case r.Error != "":
			return sum, errors.New(r.Error)
		case r.Wait:
			if waiting++; waiting == len(c.workers) {
				if waiting = 0; results == len(c.workers) {
					return sum, c.release()
				}
				if err := c.release(); err != nil {
					return sum, err
				}
			}
		case r.Result != nil:
			var one R
			if err := json.Unmarshal(r.Result, &one); err != nil {
				return sum, fmt.Errorf("bench: process %d: %w", r.from, err)
			}
			if l := P(&one).latency(); l != nil && r.Histogram != nil {
				*l = summary([]*hdrhistogram.Histogram{hdrhistogram.Import(r.Histogram)})
			}
			if results++; results == 1 {
				sum = one
			} else {
				P(&sum).add(one)
			}
		}
	}
}

// release lets the workers continue.
func (c *Workers) release() error {
	for _, w := range c.workers {
		if _, err := io.WriteString(w.in, "\n"); err != nil {
			return fmt.Errorf("bench: a process has ended: %w", err)
		}
	}
	return nil
}

// joinErrors keeps the first errors of several processes.
func joinErrors(a, b []string) []string {
	all := append(a[:len(a):len(a)], b...)
	return all[:min(len(all), maxErrs)]
}
