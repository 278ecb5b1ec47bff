package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/dustin/go-humanize"

	"roost/bench/parsebench"
)

// parseCmd measures parsers.
type parseCmd struct {
	Files []string `arg:"" optional:"" name:"file" help:"Captures of one direction of a stream: a header, stanzas, optionally the closing tag. Without files, traffic is generated: mix, small, large and utf8, 64 MB each."`
	Chunk int      `default:"4096" placeholder:"BYTES" help:"Size of the pieces passed to a parser (default: ${default})."`
	JSON  bool     `name:"json" help:"Write one JSON object per line: corpus, impl, mb_per_s, ns_per_stanza, allocs_per_stanza, ratio."`
}

// Help implements kong's HelpProvider.
func (c *parseCmd) Help() string {
	return "For each file there is a line for this server's parser without and with vector instructions, for Go's encoding/xml and for expat, which is " +
		"compiled into a small program if cc and libexpat1-dev are installed. MB/s are 10^6 bytes per second of CPU time; ratio is speed over that of " +
		"encoding/xml in the same run. Files much below 64 MB are parsed several times, which makes every parser look faster."
}

// Validate is called by kong after parsing.
func (c *parseCmd) Validate() error {
	if c.Chunk < 1 || c.Chunk > math.MaxInt32 {
		return fmt.Errorf("--chunk must be 1 to %d", math.MaxInt32)
	}
	return nil
}

// Run measures and reports.
func (c *parseCmd) Run() error {
	return c.run(os.Stdout, os.Stderr, parsebench.DefaultSize)
}

func (c *parseCmd) run(out, notes io.Writer, size int) error {
	corpora, err := c.corpora(size)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "roost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg := parsebench.Config{Chunk: c.Chunk, Note: func(s string) { fmt.Fprintln(notes, "roost-bench: left out:", s) }}
	if cfg.Expat, err = parsebench.BuildExpat(dir); err != nil {
		cfg.Note("expat: " + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	for i, next := range corpora {
		corpus, err := next()
		if err != nil {
			return err
		}
		results, err := parsebench.Run(corpus, cfg)
		if err != nil {
			return err
		}
		if err := c.report(out, corpus, results, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// corpora loads all files of the command line before anything is measured, or else
// returns the built-in generators of traffic, which run one at a time.
func (c *parseCmd) corpora(size int) (all []func() (parsebench.Corpus, error), err error) {
	for _, file := range c.Files {
		corpus, err := parsebench.Load(file)
		if err != nil {
			return nil, err
		}
		all = append(all, func() (parsebench.Corpus, error) { return corpus, nil })
	}
	if len(c.Files) > 0 {
		return all, nil
	}
	for _, name := range parsebench.Names {
		all = append(all, func() (parsebench.Corpus, error) { return parsebench.Generate(name, size) })
	}
	return all, nil
}

func (c *parseCmd) report(out io.Writer, corpus parsebench.Corpus, results []parsebench.Result, first bool) error {
	if c.JSON {
		enc := json.NewEncoder(out)
		for _, r := range results {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if !first {
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%s: %s bytes, %s stanzas of %s bytes, in pieces of %s\n", corpus.Name, humanize.Comma(int64(len(corpus.Data))),
		humanize.Comma(int64(corpus.Stanzas)), humanize.Comma(int64(len(corpus.Data)/corpus.Stanzas)), humanize.Comma(int64(c.Chunk)))
	fmt.Fprintf(out, "  %-14s %9s %12s %15s %8s\n", "", "MB/s", "ns/stanza", "allocs/stanza", "ratio")
	for _, r := range results {
		ratio := fixed(r.Ratio, 1)
		if r.Ratio == 0 {
			ratio = "-"
		}
		if _, err := fmt.Fprintf(out, "  %-14s %9s %12s %15s %8s\n", r.Impl, fixed(r.MBPerS, 1), fixed(r.NsPerStanza, 1), fixed(r.AllocsPerStanza, 2), ratio); err != nil {
			return err
		}
	}
	return nil
}
