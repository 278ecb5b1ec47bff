package main

import (
	"fmt"

	"roost/bench/relay"
)

// benchRelayCmd is what a server's cost per message is compared with.
type benchRelayCmd struct {
	Listen string `env:"-" default:"127.0.0.1:0" placeholder:"ADDR" help:"Where to listen (default: ${default})."`
	Loops  int    `env:"-" default:"${cpus}" placeholder:"N" help:"Threads (default: one for each CPU)."`
}

// Run says where it listens and serves until Ctrl-C.
func (c *benchRelayCmd) Run() error {
	if c.Loops < 1 {
		return usageError("--loops must be at least 1")
	}
	r, err := relay.Listen(c.Listen, c.Loops)
	if err != nil {
		return err
	}
	fmt.Println("relay on", r.Addr())
	ctx, stop := interrupted()
	defer stop()
	<-ctx.Done()
	return r.Close()
}
