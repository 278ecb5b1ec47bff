package main

import (
	"fmt"

	"roost/bench/relay"
	"roost/internal/cli"
)

// relayCmd is what a server's cost per message is compared with.
type relayCmd struct {
	Listen string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Where to listen (default: ${default})."`
	Loops  int    `default:"${cpus}" placeholder:"N" help:"Threads (default: one for each CPU)."`
}

// Run says where it listens and serves until Ctrl-C.
func (c *relayCmd) Run() error {
	if c.Loops < 1 {
		return cli.UsageError("--loops must be at least 1")
	}
	r, err := relay.Listen(c.Listen, c.Loops)
	if err != nil {
		return err
	}
	fmt.Println("relay on", r.Addr())
	ctx, stop := cli.Interrupted()
	defer stop()
	<-ctx.Done()
	return r.Close()
}
