package parsebench

import (
	"fmt"
	"runtime"
	"time"

	"roost/parser"
)

// Result is one line of the report.
type Result struct {
	Corpus          string  `json:"corpus"`
	Impl            string  `json:"impl"`
	MBPerS          float64 `json:"mb_per_s"` // 10^6 bytes per second of CPU time
	NsPerStanza     float64 `json:"ns_per_stanza"`
	AllocsPerStanza float64 `json:"allocs_per_stanza"`
	Ratio           float64 `json:"ratio"` // speed over that of encoding/xml; 0 if that does not read the corpus
}

// Names of the implementations.
const (
	Portable    = "portable"
	Vector      = "vector"
	EncodingXML = "encoding/xml"
	Expat       = "expat"
)

// Config configures a run. The zero Config is the default of `roost-bench parse`.
type Config struct {
	Chunk  int    // bytes per piece; default 4,096
	Rounds int    // how often each implementation is timed; the best counts; default 5
	Expat  string // program made by BuildExpat; empty: expat is not measured
	// Note, if not nil, is called with the reason when an implementation is omitted.
	Note func(string)
}

// minPass is the number of bytes parsed between two readings of the clock: shorter files
// are parsed several times.
const minPass = 4 << 20

// slowest is the number of rounds for slow implementations.
const slowest = 3

type timing struct {
	name   string
	do     pass
	best   time.Duration // for the whole corpus, once
	allocs float64       // for the whole corpus, once
	out    bool          // it does not accept the corpus
}

// Run times all implementations on a corpus, in turns.
func Run(c Corpus, cfg Config) ([]Result, error) {
	if cfg.Chunk <= 0 {
		cfg.Chunk = 4096
	}
	if cfg.Rounds <= 0 {
		cfg.Rounds = 5
	}
	if cfg.Note == nil {
		cfg.Note = func(string) {}
	}
	all := []*timing{{name: Portable, do: portablePass}}
	if parser.HasVector() {
		all = append(all, &timing{name: Vector, do: vectorPass})
	}
	all = append(all, &timing{name: EncodingXML, do: xmlPass})
	if err := c.measure(all, &cfg); err != nil {
		return nil, err
	}
	if cfg.Expat != "" {
		if t, err := runExpat(&c, &cfg); err != nil {
			cfg.Note(fmt.Sprintf("expat: %s: %v", c.Name, err))
		} else {
			all = append(all, t)
		}
	}
	return c.results(all), nil
}

func (c *Corpus) measure(all []*timing, cfg *Config) error {
	for round := range cfg.Rounds {
		for _, t := range all {
			slow := t.name == EncodingXML
			if t.out || slow && round >= slowest {
				continue
			}
			err := c.time(t, cfg.Chunk, round == 0)
			if err != nil && slow {
				// encoding/xml supports fewer names and versions than XML 1.0.
				cfg.Note(fmt.Sprintf("%s: %s: %v", t.name, c.Name, err))
				t.out = true
				continue
			}
			if err != nil {
				return fmt.Errorf("parsebench: %s: %s: %w", t.name, c.Name, err)
			}
		}
	}
	return nil
}

// time measures one pass, or several passes for a short corpus.
func (c *Corpus) time(t *timing, chunk int, first bool) error {
	times := max(1, minPass/len(c.Data))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime()
	for range times {
		n, err := t.do(c, chunk)
		if err != nil {
			return err
		}
		if n != c.Stanzas {
			return fmt.Errorf("finds %d elements, there are %d", n, c.Stanzas)
		}
	}
	d := (cpuTime() - start) / time.Duration(times)
	runtime.ReadMemStats(&after)
	if first || d < t.best {
		t.best = d
	}
	t.allocs = float64(after.Mallocs-before.Mallocs) / float64(times)
	return nil
}

func (c *Corpus) results(all []*timing) []Result {
	var base time.Duration
	for _, t := range all {
		if t.name == EncodingXML && !t.out {
			base = t.best
		}
	}
	var results []Result
	for _, t := range all {
		if t.out {
			continue
		}
		ns := max(float64(t.best), 1)
		results = append(results, Result{
			Corpus: c.Name, Impl: t.name,
			MBPerS:          float64(len(c.Data)) * 1e3 / ns,
			NsPerStanza:     ns / float64(c.Stanzas),
			AllocsPerStanza: t.allocs / float64(c.Stanzas),
			Ratio:           float64(base) / ns,
		})
	}
	return results
}
