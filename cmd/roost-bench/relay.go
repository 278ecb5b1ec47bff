package main

import (
	"fmt"

	"roost/bench/relay"
	"roost/internal/cli"
)

// relayCmd runs a minimal relay, the baseline for a server's cost per message.
type relayCmd struct {
	Listen string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Where to listen (default: ${default})."`
	Loops  int    `default:"${cpus}" placeholder:"N" help:"Threads (default: one for each CPU)."`
}

// Run prints the address and serves until Ctrl-C.
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
