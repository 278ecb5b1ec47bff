package bench

import (
	"os"
	"testing"
	"time"
)

// The numbers of sessions at which memory is measured, and the time for it to settle,
// which ROOST_BENCH_SETTLE changes.
const (
	fewSessions  = 2000
	manySessions = 15000
)

func settle(b *testing.B) time.Duration {
	d, err := time.ParseDuration(os.Getenv("ROOST_BENCH_SETTLE"))
	if err != nil {
		return 2 * time.Minute
	}
	return d
}

// BenchmarkDensity reports the memory of an idle session on a server process: the growth
// of its memory between 2,000 and 15,000 sessions that are authenticated, bound and
// available, and then idle for two minutes. Each process needs 16,000 open files. With
// contacts, each account has ten mutual ones, all online. ROOST_BENCH_HEAP and
// ROOST_BENCH_CPU name files for profiles.
func BenchmarkDensity(b *testing.B) {
	for _, c := range []struct {
		name     string
		cfg      Config
		contacts int
	}{
		{"plain", Config{}, 0},
		{"tls", Config{TLS: DirectTLS}, 0},
		{"contacts", Config{}, 10},
	} {
		b.Run(c.name, func(b *testing.B) { density(b, c.cfg, c.contacts) })
	}
}

func density(b *testing.B, cfg Config, contacts int) {
	r := startRoostWith(b, manySessions, contacts)
	cfg.Target, cfg.Loops = r.starttls, 1
	if cfg.TLS == DirectTLS {
		cfg.Target = r.direct
	}
	f, err := NewClients(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	login := func(n int) (Usage, int64, int64) {
		if err := f.Login(b.Context(), n); err != nil {
			b.Fatal(err)
		}
		time.Sleep(settle(b))
		u := r.usage()
		b.Logf("%d sessions: RSS %d KiB, %s", f.Status().Online, u.RSS>>10, r.heapState())
		bytes, objects := r.heap()
		return u, bytes, objects
	}
	for b.Loop() {
		few, fewBytes, fewObjects := login(fewSessions)
		if file := os.Getenv("ROOST_BENCH_CPU"); file != "" {
			go r.save(file, "profile?seconds=25")
		}
		before := r.usage().CPU
		many, manyBytes, manyObjects := login(manySessions - fewSessions)
		if file := os.Getenv("ROOST_BENCH_HEAP"); file != "" {
			r.save(file, "heap?gc=1")
		}
		const n = manySessions - fewSessions
		b.ReportMetric(float64(many.RSS-few.RSS)/n, "RSS-B/session")
		b.ReportMetric(float64(manyBytes-fewBytes)/n, "heap-B/session")
		b.ReportMetric(float64(manyObjects-fewObjects)/n, "objects/session")
		b.ReportMetric(float64((many.CPU-before).Microseconds())/n, "CPU-us/login")
		b.ReportMetric(float64(many.RSS)/(1<<20), "RSS-MiB")
	}
	if s := f.Status(); s.Online != manySessions {
		b.Errorf("%d sessions are online (%d failed, %d were lost), want %d", s.Online, s.Failed, s.Lost, manySessions)
	}
}
