package redistest

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// await sends a command until the first line of the reply is the one that is expected.
func await(t testing.TB, addr, command, want string) {
	t.Helper()
	awaitFunc(t, addr, command, want, func(got string) bool { return got == want })
}

// awaitServing waits until a server of a Redis Cluster serves its slots.
func awaitServing(t testing.TB, addr string) {
	t.Helper()
	awaitFunc(t, addr, "GET key", "something else than CLUSTERDOWN", func(got string) bool { return !strings.HasPrefix(got, "-CLUSTERDOWN") })
}

// awaitFunc sends a command until the first line of the reply is as expected. want describes that.
func awaitFunc(t testing.TB, addr, command, want string, expected func(got string) bool) {
	t.Helper()
	var got string
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		if got = reply(t, addr, command, 1); got != "" && expected(got) {
			return
		}
	}
	t.Fatalf("%s replies %q to %s, want %s", addr, got, command, want)
}

// reply sends a command, and returns a line of the reply, "" if the connection ends before.
func reply(t testing.TB, addr, command string, line int) (text string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, command, "\r\n")
	r := bufio.NewReader(c)
	for range line {
		if text, err = r.ReadString('\n'); err != nil {
			return ""
		}
	}
	return strings.TrimSpace(text)
}
