package leantls

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"
)

// The trace of RFC 8448 section 3, "Simple 1-RTT Handshake"
// (https://www.rfc-editor.org/rfc/rfc8448#section-3).
const (
	rfcClientSecret = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
	rfcClientKey    = "17422dda596ed5d9acd890e3c63f5051"
	rfcClientIV     = "5b78923dee08579033e523d9"
	rfcServerSecret = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
	rfcServerKey    = "9f02283b6c9c07efc26bb9f2ac92e356"
	rfcServerIV     = "cf782b88dd83549aadf1e984"
	rfcClientData   = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a" +
		"20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"
	rfcServerData = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb" +
		"501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d"
	rfcClientAlert = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"
	rfcServerAlert = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"
	rfcTicket      = "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c7" +
		"58db289a015940252f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1" +
		"b6c0d4a3d03f75e09c30ba1e62972ac46f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc1" +
		"81a77ca475840025db2f0a77f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f6" +
		"50db4d023e70e952ca49fe5137121c74bc2697687e248746d6df353005f3bce18696129c8153556b3b6c6779" +
		"b37bf15985684f"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC8448 replays the application data of the trace: the server's ticket is its first
// record, then both sides send fifty bytes and a close_notify.
func TestRFC8448(t *testing.T) {
	data := make([]byte, 50)
	for i := range data {
		data[i] = byte(i)
	}
	var s State
	s.read.start(aes128, unhex(t, rfcClientSecret), 0)
	s.write.start(aes128, unhex(t, rfcServerSecret), 1)
	rx, tx := s.ReadKeys(nil), s.write.current(nil)
	if got := hex.EncodeToString(rx.iv[:]); got != rfcClientIV {
		t.Errorf("client IV %s", got)
	}
	if got := hex.EncodeToString(tx.iv[:]); got != rfcServerIV {
		t.Errorf("server IV %s", got)
	}
	for secret, key := range map[string]string{rfcClientSecret: rfcClientKey, rfcServerSecret: rfcServerKey} {
		got := make([]byte, 16)
		aes128.expand(got, unhex(t, secret), labels128.key)
		if hex.EncodeToString(got) != key {
			t.Errorf("key %x, want %s", got, key)
		}
	}

	kind, got, err := s.Open(rx, unhex(t, rfcClientData))
	if err != nil || kind != Data || !bytes.Equal(got, data) {
		t.Errorf("data: %v %x %v", kind, got, err)
	}
	if kind, _, err = s.Open(rx, unhex(t, rfcClientAlert)); err != nil || kind != Closed {
		t.Errorf("alert: %v %v", kind, err)
	}
	out, tx, err := s.Seal(tx, nil, data)
	if err != nil || hex.EncodeToString(out) != rfcServerData {
		t.Errorf("data: %x %v", out, err)
	}
	if out = s.End(tx, nil, CloseNotify); hex.EncodeToString(out) != rfcServerAlert {
		t.Errorf("alert: %x", out)
	}

	var ticket half
	ticket.start(aes128, unhex(t, rfcServerSecret), 0)
	typ, msg, err := ticket.keys().open(0, unhex(t, rfcTicket))
	if err != nil || typ != typeHandshake || len(msg) != 205 || msg[0] != msgTicket {
		t.Errorf("ticket: %d, %d bytes, %v", typ, len(msg), err)
	}
}

// TestExpand compares with the standard library, for every label.
func TestExpand(t *testing.T) {
	for _, use := range suites {
		l := use.labels()
		for label, n := range map[string]int{l.key: use.keyLen(), l.iv: nonceLen, l.update: use.secretLen()} {
			if len(label) > maxLabel || int(label[0])<<8|int(label[1]) != n {
				t.Errorf("suite %d: label %q for %d bytes", use, label, n)
			}
			secret := make([]byte, use.secretLen())
			_, _ = rand.Read(secret)
			h := sha256.New
			if use == aes256 {
				h = sha512.New384
			}
			want, err := hkdf.Expand(h, secret, label, n)
			got := make([]byte, n)
			use.expand(got, secret, label)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("suite %d, label %q: %x, want %x; %v", use, label, got, want, err)
			}
		}
	}
}
