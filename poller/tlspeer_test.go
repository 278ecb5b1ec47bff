//go:build linux

package poller

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"roost/poller/leantls"
)

// Record types, the last byte of the inner plaintext.
const (
	recAlert     = 21
	recHandshake = 22
	recData      = 23
)

// tlsPeer is a client that uses crypto/tls for the handshake and creates records itself:
// a second implementation, independent of the one under test.
type tlsPeer struct {
	t     testing.TB
	conn  net.Conn
	state tls.ConnectionState
	hash  func() hash.Hash
	key   int // length in bytes
	tx    tlsDirection
	rx    tlsDirection
}

type tlsDirection struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// recordConn reads no further than the end of a record, so that data after the handshake
// stays in the socket.
type recordConn struct {
	net.Conn
	waiting  []byte
	boundary leantls.Boundary
}

func (c *recordConn) Read(p []byte) (int, error) {
	for {
		if n := c.boundary.Next(c.waiting); n > 0 {
			n = copy(p, c.waiting[:n])
			c.boundary.Advance(n)
			c.waiting = c.waiting[n:]
			return n, nil
		}
		var b [5]byte
		want := b[:max(1, 5-len(c.waiting))]
		if !c.boundary.Whole() {
			want = b[:1]
		}
		n, err := c.Conn.Read(want)
		if err != nil {
			return 0, err
		}
		c.waiting = append(c.waiting, want[:n]...)
	}
}

// secretLines collects the key log of a client's crypto/tls.
type secretLines map[string][]byte

func (l secretLines) Write(p []byte) (int, error) {
	f := bytes.Fields(p)
	secret, err := hex.DecodeString(string(f[2]))
	l[string(f[0])] = secret
	return len(p), err
}

func newTLSPeer(t testing.TB, conn net.Conn, cfg *tls.Config) *tlsPeer {
	t.Helper()
	lines := secretLines{}
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify, cfg.MinVersion, cfg.KeyLogWriter = true, tls.VersionTLS13, lines
	c := tls.Client(&recordConn{Conn: conn}, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	p := &tlsPeer{t: t, conn: conn, state: c.ConnectionState(), hash: sha256.New, key: 32}
	switch p.state.CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256:
		p.key = 16
	case tls.TLS_AES_256_GCM_SHA384:
		p.hash = sha512.New384
	}
	p.tx.secret, p.rx.secret = lines["CLIENT_TRAFFIC_SECRET_0"], lines["SERVER_TRAFFIC_SECRET_0"]
	p.arm(&p.tx)
	p.arm(&p.rx)
	return p
}

func (p *tlsPeer) expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{0, byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(p.hash, secret, string(append(info, 0)), n)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *tlsPeer) arm(d *tlsDirection) {
	key := p.expand(d.secret, "key", p.key)
	d.iv, d.seq = p.expand(d.secret, "iv", 12), 0
	if p.state.CipherSuite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		d.aead, _ = chacha20poly1305.New(key)
		return
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		p.t.Fatal(err)
	}
	d.aead, _ = cipher.NewGCM(block)
}

func (p *tlsPeer) next(d *tlsDirection) {
	d.secret = p.expand(d.secret, "traffic upd", len(d.secret))
	p.arm(d)
}

func (d *tlsDirection) nonce() []byte {
	n := bytes.Clone(d.iv)
	var seq [12]byte
	binary.BigEndian.PutUint64(seq[4:], d.seq)
	for i := range n {
		n[i] ^= seq[i]
	}
	d.seq++
	return n
}

// record seals any inner plaintext: content, type, padding.
func (p *tlsPeer) record(inner string) []byte {
	n := len(inner) + 16
	head := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	return p.tx.aead.Seal(bytes.Clone(head), p.tx.nonce(), []byte(inner), head)
}

func (p *tlsPeer) data(s string) []byte { return p.record(s + string(byte(recData))) }

// update returns a KeyUpdate and switches to the new key.
func (p *tlsPeer) update(ask bool) []byte {
	request := "\x00"
	if ask {
		request = "\x01"
	}
	r := p.record("\x18\x00\x00\x01" + request + string(byte(recHandshake)))
	p.next(&p.tx)
	return r
}

func (p *tlsPeer) send(records ...[]byte) {
	p.t.Helper()
	if _, err := p.conn.Write(bytes.Join(records, nil)); err != nil {
		p.t.Fatal(err)
	}
}

// read opens the next record, and switches to the server's next key if it is a KeyUpdate.
func (p *tlsPeer) read() (typ byte, content string, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(p.conn, head); err != nil {
		return 0, "", err
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(p.conn, body); err != nil {
		return 0, "", err
	}
	inner, err := p.rx.aead.Open(nil, p.rx.nonce(), body, head)
	if err != nil {
		return 0, "", err
	}
	inner = bytes.TrimRight(inner, "\x00")
	typ, content = inner[len(inner)-1], string(inner[:len(inner)-1])
	if typ == recHandshake && content[0] == 24 {
		p.next(&p.rx)
	}
	return typ, content, nil
}

// expect reads records until the data has arrived, and returns the other records that
// preceded it.
func (p *tlsPeer) expect(want string) (others int) {
	p.t.Helper()
	got := ""
	for len(got) < len(want) {
		typ, content, err := p.read()
		if err != nil {
			p.t.Fatalf("reading %.40q: %v; got %.40q", want, err, got)
		}
		if typ == recData {
			got += content
		} else {
			others++
		}
	}
	if got != want {
		p.t.Fatalf("got %.80q, want %.80q", got, want)
	}
	return others
}

// end reads to the end and returns the alert, -1 if there is none.
func (p *tlsPeer) end() (alert int) {
	alert = -1
	for {
		typ, content, err := p.read()
		if err != nil {
			return alert
		}
		if typ == recAlert {
			alert = int(content[1])
		}
	}
}
