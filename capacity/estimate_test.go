package capacity

import "testing"

func TestEstimate(t *testing.T) {
	f := func(desc string, want int64, names []string, files ...string) {
		t.Helper()
		n, checks := Estimate(goodTree().with(files...).host(), Plan{Plain: true})
		if n != want {
			t.Errorf("%s: %d sessions, want %d", desc, n, want)
		}
		var got []string
		for _, c := range checks {
			got = append(got, c.Name)
		}
		if len(got) != len(names) {
			t.Errorf("%s: blockers %q, want %q", desc, got, names)
			return
		}
		for i := range names {
			if got[i] != names[i] {
				t.Errorf("%s: blockers %q, want %q", desc, got, names)
			}
		}
	}
	f("a good machine", 1048576-ServerFiles, nil)
	f("few files", 20000-ServerFiles, nil, "proc/self/limits", limitsFile("1024", "20000"))
	f("small queues", 524288-ServerFiles, []string{"tcp-mem", "somaxconn"}, "proc/self/limits", limitsFile("1024", "524288"),
		"proc/sys/net/ipv4/tcp_mem", "90000 120000 240000", "proc/sys/net/core/somaxconn", "4096")
	f("nothing to spare", 0, nil, "proc/meminfo", "MemAvailable: 10000 kB\n")
	f("no limits", maxEstimate, []string{"nr-open", "tcp-mem", "somaxconn", "login-storm"},
		"proc/self/limits", limitsFile("unlimited", "unlimited"), "proc/meminfo", "MemAvailable: 999999999999 kB\n")
	f("nothing can be read", 0, nil, "proc/self/limits", "", "proc/meminfo", "")
}

func TestOpenFiles(t *testing.T) {
	files, sessions, err := OpenFiles(goodTree().with("proc/self/limits", limitsFile("1024", "20000")).host())
	if files != 20000 || sessions != 20000-ServerFiles || err != nil {
		t.Errorf("%d, %d, %v", files, sessions, err)
	}
	if _, _, err := OpenFiles(goodTree().with("proc/self/limits", "").host()); err == nil {
		t.Error("no error")
	}
}
