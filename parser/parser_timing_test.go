package parser_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"

	"roost/bench/parsebench"
	"roost/parser"
)

// benchSize is large enough to exceed the memory of branch predictors.
const benchSize = 32 << 20

func corpus(b *testing.B, name string, size int) []byte {
	b.Helper()
	c, err := parsebench.Generate(name, size)
	if err != nil {
		b.Fatal(err)
	}
	return c.Data
}

// feed parses a stream in pieces.
func feed(b *testing.B, s *parser.Scratch, data []byte, chunk int) {
	var p parser.Parser
	for len(data) > 0 {
		piece := data[:min(chunk, len(data))]
		data = data[len(piece):]
		for len(piece) > 0 {
			_, n, err := p.Next(s, piece)
			if err != nil {
				b.Fatal(err)
			}
			piece = piece[n:]
		}
	}
	p.Free(s)
}

func benchFeed(b *testing.B, data []byte, chunk int) {
	for _, vector := range []bool{false, true} {
		name := map[bool]string{false: "portable", true: "vector"}[vector]
		if vector && !parser.HasVector() {
			continue
		}
		b.Run(name, func(b *testing.B) {
			defer parser.UseVector(parser.UseVector(vector))
			s := parser.NewScratch(parser.Limits{})
			feed(b, s, data, chunk)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				feed(b, s, data, chunk)
			}
		})
	}
}

// BenchmarkParse parses traffic in pieces of 4 KiB, also with encoding/xml.
func BenchmarkParse(b *testing.B) {
	for _, name := range parsebench.Names {
		b.Run(name, func(b *testing.B) {
			data := corpus(b, name, benchSize)
			benchFeed(b, data, 4096)
			b.Run("encoding-xml", func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					for dec := xml.NewDecoder(bytes.NewReader(data)); ; {
						if _, err := dec.Token(); err == io.EOF {
							break
						} else if err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		})
	}
}

// BenchmarkPieces parses traffic in small pieces, down to single bytes.
func BenchmarkPieces(b *testing.B) {
	data := corpus(b, "mix", benchSize/4)
	for _, chunk := range []int{1, 16, 64, 512, 1460, 16384} {
		b.Run(fmt.Sprint(chunk), func(b *testing.B) { benchFeed(b, data, chunk) })
	}
}

// BenchmarkLongAttribute parses one value of 256 KB in pieces of 64 bytes, for which
// other parsers take quadratic time.
func BenchmarkLongAttribute(b *testing.B) {
	data := []byte("<s><m a='" + strings.Repeat("x", 256<<10) + "'/>")
	for _, vector := range []bool{false, true} {
		b.Run(map[bool]string{false: "portable", true: "vector"}[vector], func(b *testing.B) {
			defer parser.UseVector(parser.UseVector(vector))
			s := parser.NewScratch(parser.Limits{MaxStanza: 1 << 20})
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				feed(b, s, data, 64)
			}
		})
	}
}
