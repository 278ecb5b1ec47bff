package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"roost/admin/api"
	"roost/internal/cli"
)

// configCmd has the commands for the configuration.
type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Check a config file, as roost serve would read it."`
	Show    configShowCmd    `cmd:"" help:"Show each setting, and where it comes from."`
	Default configDefaultCmd `cmd:"" help:"Write a config file with all settings, their defaults and what they mean."`
}

// configCheckCmd looks for mistakes.
type configCheckCmd struct {
	File string `arg:"" optional:"" type:"path" help:"Config file; default: that of ROOST_CONFIG, if it is set."`
}

// Help is shown by kong.
func (c *configCheckCmd) Help() string {
	return "The file and the environment are read as by roost serve --config FILE, and the certificates and block files, too. Each mistake is written on a line of its own, with its place. The exit status is 1 if there is one; a warning, such as of a domain without a certificate, does not change it. Nothing is changed."
}

// Run checks.
func (c *configCheckCmd) Run() error {
	args := []string{"serve"}
	if c.File != "" {
		args = append(args, "--config="+c.File)
	}
	l, wrong := readLaunch(args)
	var warnings []string
	if len(wrong) == 0 {
		_, warnings, wrong = l.check()
	}
	for _, text := range warnings {
		fmt.Fprintln(os.Stderr, "warning: "+text)
	}
	if len(wrong) == 0 {
		fmt.Println("The configuration is valid.")
		return nil
	}
	for _, text := range wrong {
		fmt.Fprintln(os.Stderr, text)
	}
	return cli.Logged{Err: errors.New("the configuration has mistakes")}
}

// configShowCmd shows settings.
type configShowCmd struct {
	Running bool `env:"ROOST_CONFIG_SHOW_RUNNING" help:"Show the settings that the running server uses."`
	JSON    bool `name:"json" env:"ROOST_CONFIG_SHOW_JSON" help:"Write JSON instead of a table."`
	remoteFlags

	serveFlags
}

// Help is shown by kong.
func (c *configShowCmd) Help() string {
	return "It accepts every flag of roost serve, and shows the values that a server would have with the same flags, environment and config file. The source of a value is default, command line, a variable of the environment, or a line of the config file."
}

// Run shows the settings.
func (c *configShowCmd) Run(ctx *kong.Context, from *cli.Sources) error {
	if c.Running {
		ask := adminFlags{Data: c.Data, remoteFlags: c.remoteFlags}
		return ask.ask(func(ctx context.Context, client *api.Client) error {
			var cfg api.Config
			if err := client.Get(ctx, api.PathConfig, nil, &cfg); err != nil {
				return err
			}
			return c.write(os.Stdout, &cfg)
		})
	}
	g := &grammar{Serve: serveCmd{serveFlags: c.serveFlags}, from: *from}
	return c.write(os.Stdout, &api.Config{Settings: newLaunch(g, ctx).settings()})
}

func (c *configShowCmd) write(to io.Writer, cfg *api.Config) error {
	if c.JSON {
		return writeJSON(to, cfg)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, s := range cfg.Settings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, shown(s.Value), s.Source)
	}
	return w.Flush()
}
