package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"roost/admin/api"
)

// logCmd has the commands for the log.
type logCmd struct {
	Level logLevelCmd `cmd:"" help:"Show the log level of the running server, or change it for a limited time."`
}

type logLevelCmd struct {
	Level string        `field:"level" arg:"" optional:"" enum:",debug,info,warn,error" default:"" help:"The new level: debug, info, warn or error. Without one, the level is shown."`
	For   time.Duration `field:"seconds" env:"ROOST_LOG_FOR" default:"10m" placeholder:"TIME" help:"After this time, the configured level applies again; at most 24h (default: ${default})."`
	adminFlags
}

// Help is shown by kong.
func (c *logLevelCmd) Help() string {
	return "A second change replaces the first. A reload does not end it. " + timesHelp
}

// Validate is called by kong.
func (c *logLevelCmd) Validate() error {
	if c.For <= 0 || c.For > 24*time.Hour {
		return fmt.Errorf("--for must be above 0 and at most 24h")
	}
	return nil
}

// Run shows or changes the level.
func (c *logLevelCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		var l api.LogLevel
		var err error
		if c.Level == "" {
			err = client.Get(ctx, api.PathLogLevel, nil, &l)
		} else {
			err = client.Do(ctx, http.MethodPut, api.PathLogLevel, nil, api.LogLevelChange{Level: c.Level, Seconds: c.For.Seconds()}, &l)
		}
		if err != nil {
			return err
		}
		return c.print(os.Stdout, l, func(w io.Writer) { writeLogLevel(w, &l) })
	})
}

func writeLogLevel(w io.Writer, l *api.LogLevel) {
	if l.Until == nil {
		fmt.Fprintf(w, "log level %s\n", printable(l.Level))
		return
	}
	fmt.Fprintf(w, "log level %s until %s, then %s\n", printable(l.Level), l.Until.Local().Format(time.DateTime), printable(l.Configured))
}
