package session

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"roost/store"
)

// scramOf returns the server's side of an exchange after its first message.
func scramOf(t *testing.T, hash scram.HashGeneratorFcn, password, first, serverFirst, binding string) *scramServer {
	t.Helper()
	f, err := parseScramFirst(first)
	if err != nil {
		t.Fatal(err)
	}
	var nonce, salt string
	iterations := 0
	for _, field := range strings.Split(serverFirst, ",") {
		switch value := field[2:]; field[:2] {
		case "r=":
			nonce = value
		case "s=":
			salt = value
		case "i=":
			fmt.Sscan(value, &iterations)
		}
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		t.Fatal(err)
	}
	client, err := hash.NewClient(f.user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(raw), Iters: iterations})
	if err != nil {
		t.Fatal(err)
	}
	return &scramServer{hash: hash, keys: store.Keys{StoredKey: keys.StoredKey, ServerKey: keys.ServerKey},
		bound: []byte(f.header + binding), nonce: nonce, auth: f.bare + "," + serverFirst + ","}
}

// TestScramVectors: the examples of the specifications. That of XEP-0474 has an attribute
// that is not known.
func TestScramVectors(t *testing.T) {
	f := func(desc string, hash scram.HashGeneratorFcn, password, first, serverFirst, binding, final, want string) {
		t.Helper()
		got, _, err := scramOf(t, hash, password, first, serverFirst, binding).final(final)
		if got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", desc, got, err, want)
		}
		if _, wrong, err := scramOf(t, hash, password+"x", first, serverFirst, binding).final(final); !wrong || err != saslNotAuthorized {
			t.Errorf("%s, another password: wrong %v, %v", desc, wrong, err)
		}
		// A valid proof for another nonce or channel.
		for _, change := range []func(*scramServer){func(x *scramServer) { x.nonce += "x" }, func(x *scramServer) { x.bound = append(x.bound, 'x') }} {
			x := scramOf(t, hash, password, first, serverFirst, binding)
			change(x)
			if _, wrong, err := x.final(final); wrong || err != saslNotAuthorized {
				t.Errorf("%s, another nonce or channel: wrong %v, %v", desc, wrong, err)
			}
		}
	}
	f("RFC 5802 section 5", scram.SHA1, "pencil", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
		"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096", "",
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
	f("RFC 7677 section 3", scram.SHA256, "pencil", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
	const nonce = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6"
	f("XEP-0474", scram.SHA1, "pencil", "p=tls-exporter,,n=user,r="+nonce,
		"r="+nonce+"a09117a6-ac50-4f2f-93f1-93799c2bddf6,s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=", "THIS IS FAKE CB DATA",
		"c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r="+nonce+"a09117a6-ac50-4f2f-93f1-93799c2bddf6,x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=",
		"v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=")
}

// TestOffered: the hash is that of XEP-0474's example, and it is made of what the client was
// offered, in both profiles.
func TestOffered(t *testing.T) {
	x := scramServer{hash: scram.SHA1}
	first := x.first(&scramFirst{nonce: "n"}, "SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point")
	if !strings.HasSuffix(first, ",h=G6k/rBLDqgOhRRaCuuatSDFkJ08=") {
		t.Error(first)
	}
	m, _ := fastServer(t)
	for want, b := range map[string]channelBindings{
		"PLAIN SCRAM-SHA-1 SCRAM-SHA-256": {},
		"PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS|tls-exporter tls-server-end-point tls-unique": allBindings,
		"PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS|tls-server-end-point":                         {endpoint: allBindings.endpoint},
	} {
		s := bound(m, b)
		if got := strings.NewReplacer("\x1e", " ", "\x1f", "|").Replace(s.offered()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		mechanisms, bindings, _ := strings.Cut(want, "|")
		features := string(s.appendMechanisms(nil))
		sasl2, _, _ := strings.Cut(string(s.appendAuthentication(nil)), "<inline>")
		if n := len(strings.Fields(mechanisms)); strings.Count(features, "<mechanism>") != n || strings.Count(sasl2, "<mechanism>") != n {
			t.Errorf("not what is offered: %s, %s", features, sasl2)
		}
		for _, name := range strings.Fields(mechanisms) {
			if e := "<mechanism>" + name + "</mechanism>"; !strings.Contains(features, e) || !strings.Contains(sasl2, e) {
				t.Errorf("%s is not offered: %s, %s", name, features, sasl2)
			}
		}
		if strings.Count(features, "<channel-binding ") != len(strings.Fields(bindings)) {
			t.Errorf("other bindings are offered: %s", features)
		}
	}
}

// TestScramMessages: what is not a message of SCRAM is refused; attributes that are not
// known are ignored.
func TestScramMessages(t *testing.T) {
	for message, want := range map[string]string{
		"n,,n=user,r=abc":                      "n,,|n||user|abc",
		"y,a=a=2Cb=3D=3D,n=u=2Cs=3Der,r=abc":   "y,a=a=2Cb=3D=3D,|y|a,b==|u,s=er|abc",
		"p=tls-exporter,,n=user,r=abc,x=1,y=2": "p=tls-exporter,,|p||user|abc",
		"n,,n=,r=abc":                          "n,,|n|||abc",
		"":                                     "",
		"n":                                    "",
		"n,":                                   "",
		"n,,":                                  "",
		"n,,n=user":                            "",
		"n,,n=user,":                           "",
		"n,,n=user,r=":                         "",
		"n,,n=user,r=a b":                      "",
		"n,,n=user,r=\xff":                     "",
		"n,,r=abc,n=user":                      "",
		"n,,user,r=abc":                        "",
		"n,,n=us=2cer,r=abc":                   "",
		"n,,n=user=,r=abc":                     "",
		"n,a==2,n=user,r=abc":                  "",
		"n,b=romeo,n=user,r=abc":               "",
		"n,,m=x,n=user,r=abc":                  "",
		"x,,n=user,r=abc":                      "",
		"p,,n=user,r=abc":                      "",
		",,n=user,r=abc":                       "",
	} {
		f, err := parseScramFirst(message)
		if got := f.header + "|" + f.flag + "|" + f.authzid + "|" + f.user + "|" + f.nonce; (want == "") != (err == saslMalformedRequest) || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", message, got, err, want)
		}
	}
	good := "c=biws,r=" + strings.Repeat("n", 8) + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 20))
	for message, want := range map[string]error{
		good: saslNotAuthorized, // the proof
		strings.Replace(good, ",p=", ",x=1,p=", 1): saslNotAuthorized,
		strings.Replace(good, "biws", "eSws", 1):   saslNotAuthorized,
		strings.Replace(good, "r=n", "r=m", 1):     saslNotAuthorized,
		strings.Replace(good, "A", "", 4):          saslNotAuthorized,
		strings.Replace(good, "biws", "biw", 1):    saslMalformedRequest,
		strings.Replace(good, "p=A", "p=!", 1):     saslMalformedRequest,
		strings.Replace(good, "c=", "d=", 1):       saslMalformedRequest,
		strings.Replace(good, "r=", "q=", 1):       saslMalformedRequest,
		"":                                         saslMalformedRequest, ",p=": saslMalformedRequest, "c=biws,p=": saslMalformedRequest, "c=biws": saslMalformedRequest,
	} {
		x := scramServer{hash: scram.SHA1, bound: []byte("n,,"), nonce: "nnnnnnnn", keys: store.Keys{StoredKey: make([]byte, 20), ServerKey: make([]byte, 20)}}
		if _, _, err := x.final(message); err != want {
			t.Errorf("%q: %v, want %v", message, err, want)
		}
	}
}
