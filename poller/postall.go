//go:build linux

package poller

// Loops returns the number of event loops.
func (p *Poller) Loops() int { return len(p.loops) }

// PostAll runs f soon on every loop, once on each. It may be called from any goroutine and
// returns at once. After Close nothing is run.
func (p *Poller) PostAll(f func(loop int)) {
	for _, l := range p.loops {
		l.post(nil, f)
	}
}
