package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"

	"roost/server"
)

// activated returns the listening sockets that systemd has passed to this process
// (https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html). Their names,
// FileDescriptorName= in the socket unit, are those of the flags that they replace.
func activated() (s server.Sockets, err error) {
	for _, f := range activation.Files(true) {
		l, e := net.FileListener(f)
		name := f.Name()
		_ = f.Close()
		if e != nil {
			err = errors.Join(err, fmt.Errorf("the socket %s from systemd cannot be used: %w", name, e))
			continue
		}
		tcp, ok := l.(*net.TCPListener)
		switch {
		case !ok:
			e = errors.New("it is not a TCP socket")
		case name == "c2s":
			s.C2S = append(s.C2S, tcp)
			continue
		case name == "c2s-tls":
			s.C2STLS = append(s.C2STLS, tcp)
			continue
		case name == "ws":
			s.WS = append(s.WS, tcp)
			continue
		default:
			e = errors.New("its purpose is not known: FileDescriptorName= in the socket unit must be c2s, c2s-tls or ws")
		}
		_ = l.Close()
		err = errors.Join(err, fmt.Errorf("the socket %s (%s) from systemd cannot be used: %w", l.Addr(), name, e))
	}
	return s, err
}
