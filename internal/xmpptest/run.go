package xmpptest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"roost/internal/memnodes"
	"roost/internal/teststores"
	"roost/store/memstore"
)

// This file plays the dialogues of a directory.

// Run plays all dialogues that match a pattern of file names, on each kind of store, each
// time against a new server: with whole texts, byte by byte, and with texts split in two.
func Run(t *testing.T, pattern string, cfg func(name string) Config) {
	eachDialogue(t, pattern, func(t *testing.T, d *Dialogue) {
		teststores.Run(t, func(t *testing.T, k teststores.Kind) {
			c := cfg(filepath.Base(d.Name))
			cuts := d.cuts()
			if k.Cuts > 0 {
				cuts = cuts[:min(k.Cuts, len(cuts))]
			}
			for _, cut := range cuts {
				c.Location = k.New(t)
				s := NewServer(t, c)
				p := Player{Cut: cut, Dial: func() (net.Conn, error) { return s.Dial() }, Restart: func() error {
					s.Suspend(t)
					s = NewServer(t, c)
					return nil
				}}
				if err := p.Play(d); err != nil {
					t.Fatal(fmt.Errorf("cut %d: %w", cut, err))
				}
			}
		})
	})
}

// RunOnNodes plays all dialogues that match a pattern of file names on two nodes of a
// cluster: each client connects to the other node than the one before it.
func RunOnNodes(t *testing.T, pattern string, cfg func(name string) Config) {
	eachDialogue(t, pattern, func(t *testing.T, d *Dialogue) {
		if !d.onNodes() {
			t.Skip("its first lines say why it is for one node")
		}
		for _, forget := range []bool{false, true} {
			c := cfg(filepath.Base(d.Name))
			c.Location, c.Cluster = memstore.New(), memnodes.New()
			if forget {
				c.Cluster.Forgetful()
			}
			start := func(name string) *Server {
				c.Name = name
				return NewServer(t, c)
			}
			nodes := []*Server{start("a"), start("b")}
			dialed := 0
			settle := func() {
				for range 2 { // what is done may cause more
					for _, n := range nodes {
						n.settle(t)
					}
					c.Cluster.Wait()
				}
			}
			restart := func() error { // one node after the other, as an operator does
				for i, n := range nodes {
					settle()
					n.Suspend(t)
					nodes[i] = start(n.name)
				}
				return nil
			}
			p := Player{Settle: settle, Restart: restart, Dial: func() (net.Conn, error) {
				dialed++
				return nodes[dialed%2].Dial()
			}}
			if err := p.Play(d); err != nil {
				t.Fatal(fmt.Errorf("forgetful %t: %w", forget, err))
			}
		}
	})
}

// eachDialogue runs a test for each dialogue that matches a pattern of file names.
func eachDialogue(t *testing.T, pattern string, f func(t *testing.T, d *Dialogue)) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues match %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			d, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			f(t, d)
		})
	}
}

// cutStep is the distance between the positions at which texts are split in two.
// ROOST_CUT_STEP=1 splits at every position. Byte by byte, dialogues are always split at
// every position.
func cutStep() int {
	if n, err := strconv.Atoi(os.Getenv("ROOST_CUT_STEP")); err == nil && n > 0 {
		return n
	}
	return 37
}

// cuts returns the cuts with which a dialogue is played.
func (d *Dialogue) cuts() []Cut {
	cuts := []Cut{Whole, Bytewise}
	for i := 1 + len(d.Name)%cutStep(); i < d.longest(); i += cutStep() {
		cuts = append(cuts, Cut(i))
	}
	return cuts
}
