package parser

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func corpus() []byte {
	one := "<message to='juliet@example.com/balcony' from='romeo@example.net/orchard' type='chat' id='ktx72v49' xml:lang='en'><body>Art thou not Romeo, and a Montague? I would fain know before the night is out.</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>" +
		"<presence from='romeo@example.net/orchard'><show>away</show><status>be right back</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://psi-im.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>" +
		"<iq type='get' id='ping-123' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>"
	return []byte(strings.Repeat(one, 2000))
}

func BenchmarkParse(b *testing.B) {
	data := corpus()
	s := NewScratch(Limits{})
	var p Parser
	p.Next(s, []byte(testHeader))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			piece := rest[:min(4096, len(rest))]
			rest = rest[len(piece):]
			for len(piece) > 0 {
				_, n, err := p.Next(s, piece)
				if err != nil {
					b.Fatal(err)
				}
				piece = piece[n:]
			}
		}
	}
}

func BenchmarkParseBytewise(b *testing.B) {
	data := corpus()[:100000]
	s := NewScratch(Limits{})
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var p Parser
		p.Next(s, []byte(testHeader))
		for i := range data {
			if _, _, err := p.Next(s, data[i:i+1]); err != nil {
				b.Fatal(err)
			}
		}
		p.Free(s)
	}
}

func BenchmarkEncodingXML(b *testing.B) {
	data := append([]byte(testHeader), corpus()...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		dec := xml.NewDecoder(bytes.NewReader(data))
		for {
			if _, err := dec.RawToken(); err != nil {
				if err != io.EOF {
					b.Fatal(err)
				}
				break
			}
		}
	}
}
