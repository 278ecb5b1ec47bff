package server

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listenError explains why listening on an address failed, and what to do.
func listenError(addr string, err error) error {
	_, service, _ := net.SplitHostPort(addr)
	port, _ := net.LookupPort("tcp", service)
	var advice string
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who := portHolder("/proc", port); who != "" {
			return fmt.Errorf("server: cannot listen on %s: the port is in use by %s: stop it, or choose another port", addr, who)
		}
		return fmt.Errorf("server: cannot listen on %s: the port is in use: stop the program that uses it, or choose another port; as root, this names it: ss -ltnp 'sport = :%d'", addr, port)
	case errors.Is(err, unix.EACCES) && port < 1024:
		advice = ": only root and programs with CAP_NET_BIND_SERVICE may use ports below 1024"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		advice = ": this machine has no such address; ip address lists those it has"
	}
	return fmt.Errorf("server: cannot listen on %s: %w%s", addr, err, advice)
}

// portHolder names the process that listens on a TCP port, or returns "" if it cannot be
// found: only root may examine the files of other users' processes, and of processes that
// disable core dumps.
func portHolder(proc string, port int) string {
	sockets := make(map[string]bool)
	for _, table := range []string{"tcp", "tcp6"} {
		listening(filepath.Join(proc, "net", table), port, sockets)
	}
	if len(sockets) == 0 {
		return ""
	}
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || !sockets[target] {
			continue
		}
		process := filepath.Dir(filepath.Dir(file))
		who := "process " + filepath.Base(process)
		if name, err := os.ReadFile(filepath.Join(process, "comm")); err == nil {
			who += " (" + printable(strings.TrimSpace(string(name))) + ")"
		}
		return who
	}
	return ""
}

// listening adds the sockets that listen on a port, such as "socket:[4711]", from a table
// in the format of /proc/net/tcp.
func listening(table string, port int, sockets map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const localAddress, state, inode, listen = 1, 3, 9, "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) <= inode || field[state] != listen {
			continue
		}
		_, hex, _ := strings.Cut(field[localAddress], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			sockets["socket:["+field[inode]+"]"] = true
		}
	}
}
