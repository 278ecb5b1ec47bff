package human

import "testing"

func TestAge(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0 s", 59.9: "59 s", 60: "1 min", 3599: "59 min", 3600: "1 h 0 min", 86399: "23 h 59 min", 86400: "1 d 0 h", 1e6: "11 d 13 h",
	} {
		if got := Age(seconds); got != want {
			t.Errorf("%g: %q, want %q", seconds, got, want)
		}
	}
}

// TestPrintable: what clients choose cannot control a terminal, and cannot hide.
func TestPrintable(t *testing.T) {
	if got := Printable("a\x1b[2J\u009b\x9b\u202eü\u2066\x7f\u200b\ufeff", '?'); got != "a?[2J?\ufffd?ü????" {
		t.Errorf("%q", got)
	}
}
