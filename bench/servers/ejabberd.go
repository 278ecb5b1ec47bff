package servers

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"roost/bench/contacts"
	"slices"
	"strconv"
	"strings"
)

//go:embed ejabberd.yml
var ejabberdConfig string

func startEjabberd(c Config) (*Server, error) {
	first, err := c.first()
	if err != nil {
		return nil, err
	}
	e, err := newEjabberd(c)
	if err != nil {
		return nil, err
	}
	if first {
		if err := errors.Join(c.certificate(), e.importAccounts()); err != nil {
			return nil, err
		}
	}
	return e.start()
}

// ejabberd is a node of ejabberd.
type ejabberd struct {
	Config
	args, env []string
}

func newEjabberd(c Config, args ...string) (*ejabberd, error) {
	config, err := c.fill("ejabberd.yml", ejabberdConfig, c.values())
	if err != nil {
		return nil, err
	}
	return &ejabberd{
		Config: c,
		args: append(args, "+K", "true", "+P", "250000", "-noinput", "-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(c.Dir, "mnesia")),
			"-s", "ejabberd"),
		env: []string{"EJABBERD_CONFIG_PATH=" + config, "EJABBERD_LOG_PATH=" + filepath.Join(c.Dir, "ejabberd.log"), "ERL_LIBS=" + erlLibs(),
			"ERL_MAX_PORTS=32000", "ERL_MAX_ETS_TABLES=1400", "ERL_CRASH_DUMP_BYTES=0", "HOME=" + c.Dir},
	}, nil
}

func (e *ejabberd) start() (*Server, error) { return e.run(e.env, "erl", e.args...) }

// once starts the node, lets it do something, and stops it.
func (e *ejabberd) once(what, expression string) error {
	cmd := exec.Command("erl", append(slices.Clone(e.args), "-eval", expression+", mnesia:sync_log(), ejabberd:stop(), halt(0).")...)
	cmd.Env = append(os.Environ(), e.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ejabberd, %s: %w: %s", what, err, out[max(0, len(out)-2000):])
	}
	return nil
}

// importAccounts starts ejabberd once to import the accounts (XEP-0227).
func (e *ejabberd) importAccounts() error {
	var b strings.Builder
	b.WriteString("<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>")
	for i := range e.Accounts {
		fmt.Fprintf(&b, "<user name='user%d' password='secret'>", i)
		if e.Contacts > 0 {
			b.WriteString("<query xmlns='jabber:iq:roster'>")
			for _, n := range contacts.Neighbours(i, e.Accounts, e.Contacts) {
				fmt.Fprintf(&b, "<item jid='user%d@localhost' name='%s' subscription='both'/>", n, contacts.Name)
			}
			b.WriteString("</query>")
		}
		b.WriteString("</user>")
	}
	b.WriteString("</host></server-data>")
	file := filepath.Join(e.Dir, "users.xml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return err
	}
	return e.once("importing accounts", fmt.Sprintf("ok = ejabberd_piefxis:import_file(<<%q>>)", file))
}

// Cluster is a cluster of ejabberd, whose nodes share their tables by Mnesia.
type Cluster struct {
	Nodes  []*Server
	mapper *exec.Cmd // epmd, which tells nodes each other's ports
}

// StartEjabberdCluster starts a cluster with a node for each configuration. The first one
// creates the accounts. It returns when all ports are open.
func StartEjabberdCluster(nodes []Config) (_ *Cluster, err error) {
	port := FreePort()
	k := &Cluster{mapper: exec.Command("epmd", "-address", "127.0.0.1", "-port", strconv.Itoa(port))}
	if err := k.mapper.Start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			k.Stop()
		}
	}()
	cookie := rand.Text()
	name := func(i int) string { return fmt.Sprintf("ejabberd%d@127.0.0.1", i) }
	for i, c := range nodes {
		if _, err := c.first(); err != nil {
			return nil, err
		}
		e, err := newEjabberd(c, "-name", name(i), "-setcookie", cookie, "-start_epmd", "false", "-kernel", "inet_dist_use_interface", "{127,0,0,1}")
		if err != nil {
			return nil, err
		}
		e.env = append(e.env, fmt.Sprintf("ERL_EPMD_PORT=%d", port))
		if err := c.certificate(); err != nil {
			return nil, err
		}
		if i == 0 {
			err = e.importAccounts()
		} else {
			err = e.once("joining", fmt.Sprintf("ok = ejabberd_cluster:join('%s')", name(0)))
		}
		if err != nil {
			return nil, err
		}
		s, err := e.start()
		if err != nil {
			return nil, err
		}
		k.Nodes = append(k.Nodes, s)
		if err := s.wait(c.Plain, c.Direct); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Stop ends the nodes.
func (k *Cluster) Stop() {
	for _, s := range k.Nodes {
		s.Stop()
	}
	_ = k.mapper.Process.Kill()
	_ = k.mapper.Wait()
}

// erlLibs returns the directory of ejabberd's modules on Debian.
func erlLibs() string {
	all, _ := filepath.Glob("/usr/lib/*/ejabberd-*")
	if len(all) == 0 {
		return "/usr/lib"
	}
	return filepath.Dir(all[0])
}
