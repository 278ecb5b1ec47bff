package chart

import "math"

// Latencies is a graph of latencies: the X of each line are percents of events, the
// Y how many milliseconds that many took at most. The axis has as much room for
// 90 to 99 % as for 99 to 99.9 %.
func Latencies(title string, lines ...Line) Graph {
	g := Graph{Title: title, X: "percent that took at most so long", Y: "latency, ms"}
	for _, percent := range []struct {
		at   float64
		name string
	}{{0, "0"}, {50, "50"}, {90, "90"}, {99, "99"}, {99.9, "99.9"}, {99.99, "99.99"}} {
		g.Marks = append(g.Marks, Mark{nines(percent.at), percent.name})
	}
	for _, l := range lines {
		moved := Line{Name: l.Name, Y: l.Y}
		for _, percent := range l.X {
			moved.X = append(moved.X, nines(percent))
		}
		g.Lines = append(g.Lines, moved)
	}
	return g
}

// nines is 1 for 90 %, 2 for 99 %, 3 for 99.9 %.
func nines(percent float64) float64 { return -math.Log10(1 - percent/100) }
