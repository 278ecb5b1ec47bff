package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// TestRestoredServes: a server on a restored backup, made while the one before it ran, has what
// accounts had: old passwords and tokens are valid, and roster, vCard, private storage, blocked
// addresses and stored messages are there. A backup of a stopped server has its sessions, too:
// their clients resume them.
func TestRestoredServes(t *testing.T) {
	running, dir, addr := servingAccounts(t, "romeo@localhost", "juliet@localhost")
	romeo := loginTo(t, addr, "localhost", romeoPlain, "r")
	content := map[string][2]string{ // what is stored, and how it is asked for
		"<query xmlns='jabber:iq:roster'><item jid='juliet@localhost' name='Juliet'/></query>": {"<query xmlns='jabber:iq:roster'/>", "name='Juliet'"},
		"<vCard xmlns='vcard-temp'><FN>Romeo Montague</FN></vCard>":                            {"<vCard xmlns='vcard-temp'/>", "Romeo Montague"},
		"<query xmlns='jabber:iq:private'><notes xmlns='x:notes'>balcony</notes></query>":      {"<query xmlns='jabber:iq:private'><notes xmlns='x:notes'/></query>", "balcony"},
		"<block xmlns='urn:xmpp:blocking'><item jid='tybalt@localhost'/></block>":              {"<blocklist xmlns='urn:xmpp:blocking'/>", "tybalt@localhost"},
	}
	for stored := range content {
		romeo.ask("<iq type='set' id='s'>"+stored+"</iq>", "id='s'")
	}
	romeo.ask("<message to='juliet@localhost' type='chat'><body>wherefore</body></message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	token := regexp.MustCompile(` token='([^']+)'`).FindStringSubmatch(authenticated(t, addr, "PLAIN", "\x00romeo\x00secret", "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"))
	if token == nil {
		t.Fatal("no token")
	}

	restored, to, addr := restoredFrom(t, dir)
	stopped(t, running)
	romeo = loginTo(t, addr, "localhost", romeoPlain, "r")
	for _, c := range content {
		romeo.ask("<iq type='get' id='g'>"+c[0]+"</iq>", c[1])
	}
	loginTo(t, addr, "localhost", julietPlain, "j").ask("<presence/>", "<body>wherefore</body>")
	mac := hmac.New(sha256.New, []byte(token[1]))
	mac.Write([]byte("Initiator"))
	authenticated(t, addr, "HT-SHA-256-NONE", "romeo\x00"+string(mac.Sum(nil)), "<fast xmlns='urn:xmpp:fast:0'/>")

	// A session whose client is away when the server stops.
	phone := loginTo(t, addr, "localhost", romeoPlain, "phone")
	id := regexp.MustCompile(` id='([^']+)'`).FindStringSubmatch(phone.ask("<presence/><enable xmlns='urn:xmpp:sm:3' resume='true'/>", "resume='true'"))
	if id == nil {
		t.Fatal("the session cannot be resumed")
	}
	_ = phone.conn.Close()
	loginTo(t, addr, "localhost", julietPlain, "j").ask("<message to='romeo@localhost/phone' type='chat'><body>good night</body></message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	stopped(t, restored)
	_, _, addr = restoredFrom(t, to)
	phone = unbound(t, addr, "localhost", romeoPlain)
	phone.ask("<resume xmlns='urn:xmpp:sm:3' previd='"+id[1]+"' h='0'/>", "<resumed ")
	phone.ask("", "<body>good night</body>")
}

// restoredFrom backs up the server of a data directory, and starts one on what is restored.
func restoredFrom(t *testing.T, dir string) (server *exec.Cmd, to, addr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "b.tar")
	runner(t, dir)(0, "of 2 accounts", "backup", file)
	to = filepath.Join(t.TempDir(), "data")
	runner(t, to)(0, "restored to", "restore", file)
	server, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", to)
	return server, to, regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting)
}

// stopped stops a server.
func stopped(t *testing.T, server *exec.Cmd) {
	t.Helper()
	err := server.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = server.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// authenticated logs in by SASL2 (XEP-0388) as a client that keeps its tokens, and returns the
// success element.
func authenticated(t *testing.T, addr, mechanism, message, more string) string {
	t.Helper()
	c := connected(t, addr, "localhost")
	return c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='"+mechanism+"'><initial-response>"+base64.StdEncoding.EncodeToString([]byte(message))+
		"</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"+more+"</authenticate>", "</success>")
}
