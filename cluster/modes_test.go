package cluster

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/cluster/clustertest"
	"roost/internal/logring"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// command sends a command to a server, and returns the first line of the reply.
func command(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	fmt.Fprint(c, text, "\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// works checks that two nodes find each other's resources and get each other's items, and
// that the second cleans up when the first has died.
func works(t *testing.T, nodes [2]*Node, handlers [2]*clustertest.Recorder) {
	t.Helper()
	for i, n := range nodes {
		for k := range 100 { // more than one bucket of the index
			registered(t, n, fmt.Sprintf("u%d.%d@x", i, k), "r")
		}
		n.Update(fmt.Sprintf("u%d.0@x", i), "r", true, 1)
		if !n.Send(nodes[1-i].Self(), "a@x", []byte("item")) {
			t.Fatal("the queue is full")
		}
	}
	for i, h := range handlers {
		h.WaitItems(t, 1)
		waitPlaces(t, nodes[i], fmt.Sprintf("u%d.99@x", 1-i), 1)
	}
	nodes[1].Unregister("u1.0@x", "r")
	waitPlaces(t, nodes[0], "u1.0@x", 0)
	kill(nodes[0])
	xmpptest.Eventually(t, "the deaths are reported", func() bool { return len(handlers[1].Deaths()) == 100 })
	xmpptest.Eventually(t, "the node is cleaned up", func() bool { return nodes[1].Stats().CleanedNodes == 1 })
}

// TestRedisCluster: all requests work on a Redis Cluster, whose scripts may use the keys of
// one slot only.
func TestRedisCluster(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes")
	if got := command(t, server.Addr, "CLUSTER ADDSLOTSRANGE 0 16383"); got != "+OK" {
		t.Fatal(got)
	}
	xmpptest.Eventually(t, "the cluster works", func() bool { return command(t, server.Addr, "SET a b") == "+OK" })
	nodes, handlers := pair(t, server.URL(), server.URL())
	works(t, nodes, handlers)
}

// deployed returns the options of a server that is configured as deploy/cluster has it, but for
// its address. The password is sesame.
func deployed(t *testing.T) (options []string) {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "deploy", "cluster", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	users := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(users, []byte(strings.ReplaceAll(read("users.acl"), "PASSWORD", "sesame")), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(read("valkey.conf")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "", "#", "bind", "port":
		case "aclfile":
			options = append(options, "--aclfile", users)
		default:
			options = append(options, "--"+name, strings.Trim(value, `"`))
		}
	}
	return options
}

// TestAccess: the configuration in deploy, with a user that has the least privileges, for one
// node with TLS; and the password in no message.
func TestAccess(t *testing.T) {
	cert, key := trusted().files(t)
	server := redistest.StartTLS(t, cert, key, deployed(t)...)
	nodes, handlers := pair(t, "redis://roost:sesame@"+server.Addr, "rediss://roost:sesame@"+server.TLSAddr)
	works(t, nodes, handlers)
	// A client of a Redis Cluster sends this while a slot moves.
	if c := nodes[1].engine.client; strings.Contains(fmt.Sprint(c.Do(t.Context(), c.B().Asking().Build()).Error()), "NOPERM") {
		t.Error("the user may not use ASKING")
	}
	refused := func(url, want string) {
		t.Helper()
		_, err := start(Config{URL: url, Name: "z", Lease: testLease}, new(clustertest.Recorder))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	refused("redis://roost:wrong-sesame@"+server.Addr, "WRONGPASS")
	refused("rediss://roost:wrong-sesame@"+server.TLSAddr, "WRONGPASS")

	cert, key = selfSigned().files(t)
	refused("rediss://roost:sesame@"+redistest.StartTLS(t, cert, key).TLSAddr, "certificate signed by unknown authority")

	log := logring.New(100)
	open(t, "rediss://roost:sesame@"+server.Addr, "z", func(c *Config) { c.Logger = slog.New(log.Handler(c.Logger.Handler())) })
	for _, l := range log.Lines() {
		if strings.Contains(l.Text+l.Fields, "sesame") {
			t.Errorf("%+v", l)
		}
	}
}

// certificate is a certificate of the loopback address and its key, in PEM.
type certificate struct{ cert, key []byte }

// trusted returns a certificate that this process trusts: see main_test.go.
var trusted = sync.OnceValue(func() certificate {
	c := selfSigned()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.cert) {
		panic("the certificate cannot be read")
	}
	x509.SetFallbackRoots(pool)
	return c
})

func selfSigned() certificate {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return certificate{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})}
}

// files writes a certificate and its key to files, and returns their names.
func (c certificate) files(t *testing.T) (cert, key string) {
	cert, key = filepath.Join(t.TempDir(), "crt"), filepath.Join(t.TempDir(), "key")
	for file, b := range map[string][]byte{cert: c.cert, key: c.key} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestSentinelTLS: the Sentinel and the server are both reached over TLS.
func TestSentinelTLS(t *testing.T) {
	cert, key := trusted().files(t)
	url := redistest.StartSentinelTLS(t, cert, key)
	nodes, handlers := pair(t, url, url)
	works(t, nodes, handlers)
}

// TestSentinel: when the primary server dies, Sentinel replaces it by its replica. The nodes
// stay alive, register again, and items arrive once.
func TestSentinel(t *testing.T) {
	primary, url := redistest.StartReplicated(t)
	// The replacement takes several times testLease, and the second node may come back much
	// later than the first.
	nodes, handlers := pair(t, url, url, func(c *Config) { c.Lease = 20 * time.Second })
	before := [2]router.NodeID{nodes[0].Self(), nodes[1].Self()}
	registered(t, nodes[0], "a@x", "r")
	const items = 300
	for i := range items {
		nodes[0].Send(nodes[1].Self(), "a@x", fmt.Append(nil, i))
		handlers[1].WaitItems(t, min(i, 100)/2)
		if i == 100 {
			primary.Kill()
		}
	}
	for i, item := range handlers[1].WaitItems(t, items) {
		if item.Text != fmt.Sprint(i) {
			t.Fatalf("item %d is %q", i, item.Text)
		}
	}
	for i, h := range handlers {
		xmpptest.Eventually(t, "everything is to be registered again", func() bool { return h.Rejoins() > 0 })
		if nodes[i].Self() != before[i] {
			t.Errorf("node %d has another epoch", i)
		}
	}
	registered(t, nodes[0], "a@x", "r")
	waitPlaces(t, nodes[1], "a@x", 1)
}
