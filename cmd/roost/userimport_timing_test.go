package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"roost/store"
)

// BenchmarkImport imports 10,000 accounts with the default number of iterations, and then
// the same file again.
func BenchmarkImport(b *testing.B) {
	const n = 10_000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "user%d@example.com,correct horse %d\n", i, i)
	}
	for b.Loop() {
		b.StopTimer()
		s, err := (&dataFlags{Data: b.TempDir()}).open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		f := func(created int) float64 {
			im := &importer{to: onStore{Store: s}, iterations: store.DefaultIterations}
			im.show("-", n, io.Discard, false)
			if err := im.run(b.Context(), im.csv(strings.NewReader(text.String()))); err != nil || im.created != created {
				b.Fatal(im.summary(), err)
			}
			return n / im.took.Seconds()
		}
		b.ReportMetric(f(n), "accounts/s")
		b.ReportMetric(f(0), "passed-over/s")
		s.Close()
	}
}
