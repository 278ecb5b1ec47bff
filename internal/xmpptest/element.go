package xmpptest

import (
	"encoding/xml"
	"io"
)

// Element is an element of a stream without its text. It is for tests whose clients react to
// what they receive; others are written as dialogues.
type Element struct {
	xml.StartElement
	Children []Element
}

// Attr returns the value of an attribute by its local name, "" if there is none.
func (e *Element) Attr(name string) string {
	for _, a := range e.StartElement.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Child returns the first child with this local name, an empty element if there is none.
func (e *Element) Child(name string) (c Element) {
	for _, c := range e.Children {
		if c.Name.Local == name {
			return c
		}
	}
	return c
}

// read reads what is within the element, and its end.
func (e *Element) read(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch k := token.(type) {
		case xml.StartElement:
			c := Element{StartElement: k.Copy()}
			if err := c.read(d); err != nil {
				return err
			}
			e.Children = append(e.Children, c)
		case xml.EndElement:
			return nil
		}
	}
}

// ReadHeader reads the header of a stream and returns a decoder of its elements. If r is an
// io.ByteReader, the decoder reads no more than it decodes, so r can be used again after the
// stream has been restarted.
func ReadHeader(r io.Reader) (*xml.Decoder, error) {
	d := xml.NewDecoder(r)
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, ok := token.(xml.StartElement); ok {
			return d, nil
		}
	}
}

// NextElement reads a first-level element. It returns io.EOF at the end of the stream.
func NextElement(d *xml.Decoder) (e Element, err error) {
	for {
		token, err := d.Token()
		if err != nil {
			return e, err
		}
		switch k := token.(type) {
		case xml.StartElement:
			e.StartElement = k.Copy()
			return e, e.read(d)
		case xml.EndElement:
			return e, io.EOF
		}
	}
}
