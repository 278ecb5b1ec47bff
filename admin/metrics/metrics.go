// Package metrics exports the counters of all packages in the formats of Prometheus.
//
// Packages count by themselves and know nothing of this one: it reads their snapshots when
// it is asked, and adds up nothing but those. docs/metrics.md lists what is exported.
package metrics

import (
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"roost/admin/api"
	"roost/internal/histogram"
	"roost/poller"
	"roost/router"
	"roost/session"
	"roost/store"
)

// Source is where the numbers come from. All fields are required unless stated otherwise.
// The functions may be called from any goroutine, and must not take longer than a
// millisecond or so.
type Source struct {
	Version, Commit string // of the program; Commit may be empty

	Poller   func() poller.Stats
	Sessions func() session.Stats
	Router   func() router.Stats
	Store    *store.Meter
	Batches  store.Batches // nil: the store does not commit in batches

	Ready        func() bool                 // whether clients are accepted
	Certificates func() map[string]time.Time // when the certificate of each domain expires
	Capacity     func() map[string]int64     // further sessions that the machine can hold, by check
	LogDropped   func() int64                // lines of the log that were dropped; nil: not known
	Traces       func() int                  // sessions that administrators trace at the moment
	Panics       func() int64                // recovered panics in the administration interface
	LastBackup   func() *api.Backup          // nil: not known, which the result nil also means
	Renewals     func() []api.Renewal        // nil: no certificates are obtained
	Cluster      func() *api.Cluster         // nil: the server is alone
}

// Exporter exports the metrics.
type Exporter struct{ registry *prometheus.Registry }

// New returns an Exporter.
func New(src Source) *Exporter {
	e := &Exporter{prometheus.NewRegistry()}
	c := &collector{src: src}
	for _, f := range families() {
		c.families = append(c.families, described{f, prometheus.NewDesc(f.name, f.help, f.labels, nil)})
	}
	e.registry.MustRegister(c, collectors.NewGoCollector())
	return e
}

// Write writes all metrics in the format that accept asks for, the header of a request: by
// default, and as browsers and curl get it, as text. It returns the type of the content.
func (e *Exporter) Write(w io.Writer, accept http.Header) (contentType string, err error) {
	families, err := e.registry.Gather()
	if err != nil {
		return "", err
	}
	format := expfmt.NegotiateAccept(accept, expfmt.DefaultAcceptedFormats()...)
	out := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if err := out.Encode(f); err != nil {
			return "", err
		}
	}
	return string(format), nil
}

// kind is the type of a metric.
type kind string

const (
	gauge   kind = "gauge"
	counter kind = "counter"
	buckets kind = "histogram"
)

// family is one metric, with all values of its labels.
type family struct {
	name   string
	kind   kind
	help   string
	labels []string
	read   func(n *numbers, out *samples)
}

// numbers are the snapshots that one scrape reads.
type numbers struct {
	*Source
	poller        poller.Stats
	sessions      session.Stats
	router        router.Stats
	reads, writes histogram.Snapshot // of the store
	batches       store.BatchStats
	process       process
	cluster       *api.Cluster // nil: the server is alone
}

// renewals are the certificates that are obtained.
func (n *numbers) renewals() []api.Renewal {
	if n.Renewals == nil {
		return nil
	}
	return n.Renewals()
}

func (s *Source) numbers() *numbers {
	n := &numbers{Source: s, poller: s.Poller(), sessions: s.Sessions(), router: s.Router(), process: readProcess()}
	n.reads, n.writes = s.Store.Times()
	if s.Batches != nil {
		n.batches = s.Batches.BatchStats()
	}
	if s.Cluster != nil {
		n.cluster = s.Cluster()
	}
	return n
}

// collector makes samples of the numbers. It implements prometheus.Collector.
type collector struct {
	src      Source
	families []described
}

// described is a family and what the library wants to know of it.
type described struct {
	family
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.families {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	n := c.src.numbers()
	for _, f := range c.families {
		f.read(n, &samples{f, out})
	}
}

// samples receives the values of a family.
type samples struct {
	of  described
	out chan<- prometheus.Metric
}

// add adds a value.
func (s *samples) add(v int64, labels ...string) { s.addFloat(float64(v), labels...) }

// addBool adds 1 or 0.
func (s *samples) addBool(v bool) {
	if v {
		s.add(1)
	} else {
		s.add(0)
	}
}

func (s *samples) addFloat(v float64, labels ...string) {
	typ := prometheus.GaugeValue
	if s.of.kind == counter {
		typ = prometheus.CounterValue
	}
	s.out <- prometheus.MustNewConstMetric(s.of.desc, typ, v, labels...)
}

// seconds is the unit of histograms of durations, which are counted in nanoseconds.
const seconds = float64(time.Second)

// histogram adds what a histogram has counted, in a unit.
func (s *samples) histogram(h histogram.Snapshot, unit float64, labels ...string) {
	all, below := make(map[float64]uint64, len(h.Bounds)), int64(0)
	for i, bound := range h.Bounds {
		below += h.Counts[i]
		all[float64(bound)/unit] = uint64(below)
	}
	s.out <- prometheus.MustNewConstHistogram(s.of.desc, uint64(h.Count()), float64(h.Sum)/unit, all, labels...)
}
