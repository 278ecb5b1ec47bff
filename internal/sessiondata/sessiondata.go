// Package sessiondata encodes sessions as plain data, which another process can make
// sessions of again: after a planned restart, and wherever a session has to move. It knows
// neither where the data comes from nor where it is kept.
//
// # Format
//
// A unit begins with its version (1 byte), its kind (1 byte), and the lengths of its two
// parts, the head and the queue (4 bytes each). The head follows, and a CRC-32C of all of
// this (4 bytes). The queue has the stanzas that the client has not acknowledged. Each
// begins with its length (4 bytes) and ends with its own CRC-32C; so if some are damaged,
// the others can be saved. Numbers are little-endian. All versions begin like this, and units
// may follow one another.
//
// The head consists of fields: a tag (1 byte), the length of the value (as a varint), and
// the value. A reader ignores fields that it does not know. A change that it must not ignore
// needs a new version.
package sessiondata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Version is the version of the format.
const Version = 1

// Kind is what a unit describes.
type Kind byte

// The kinds of units.
const (
	SessionKind Kind = 1
	ServerKind  Kind = 2
)

// Errors of Parse functions. They are wrapped: test for them with errors.Is.
var (
	ErrVersion  = errors.New("the version of the format is unknown")
	ErrDamaged  = errors.New("the data is damaged")
	ErrLoss     = errors.New("some stanzas are damaged") // the rest of the session was read
	errTooShort = fmt.Errorf("%w: it is too short", ErrDamaged)
	errChecksum = fmt.Errorf("%w: the checksum is wrong", ErrDamaged)
	errField    = fmt.Errorf("%w: a field is malformed", ErrDamaged)
)

// Session is a session that can be resumed (XEP-0198). Slices that ParseSession returns are
// parts of its argument.
type Session struct {
	Address   []byte // the full JID
	Number    uint32 // of the session, for its resumption ID
	Handled   uint32 // the client's stanzas that were handled, modulo 2^32
	Sent      uint32 // the stanzas that were sent to it, modulo 2^32, those that wait included
	Unsent    uint32 // how many of Stanzas, the newest, were not sent on the last connection
	Wait      uint8  // the code of the time that the client has asked for
	Until     int64  // the Unix time in seconds until which the session waits for its client
	Event     uint32 // the low bits of the account's newest event at the login
	Presence  []byte // as it was broadcast; empty: the session is not available
	Priority  int8
	Stanzas   []Stanza // that the client has not acknowledged, oldest first
	Additions []Addition
}

// Stanza is a stanza that a client has not acknowledged.
type Stanza struct {
	Text  []byte
	At    int64 // when it was sent, in Unix milliseconds
	ID    int64 // see Flags
	Flags uint8 // the meaning is the session's
}

// Addition is what an extension has to say about a session.
type Addition struct {
	Name string // of the extension
	Data []byte
}

// Server is what sessions need of the server that they come from.
type Server struct {
	Event   int64 // the last account event that was processed
	Stopped int64 // the Unix time of the end, in seconds
}

// Tags of fields. A tag is never used again for something else.
const (
	tagAddress  = 1
	tagNumber   = 2
	tagHandled  = 3
	tagSent     = 4
	tagUnsent   = 5
	tagWait     = 6
	tagUntil    = 7
	tagEvent    = 8
	tagPresence = 9
	tagPriority = 10
	tagStanzas  = 11 // how many there are in the queue
	tagAddition = 12 // may be repeated: the length of the name (as a varint), the name, the data
	// 13 and 14 were the key and the last number of resumption IDs.
	tagLastEvent = 15
	tagStopped   = 16
)

const (
	prefixSize   = 2 + 4 + 4
	checksumSize = 4
	stanzaHeader = 4 + 1 + 8 + 8 // length of the text, flags, time, ID
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendChecksum(dst []byte, begin int) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
}

// AppendSession appends a session.
func AppendSession(dst []byte, s *Session) []byte {
	begin := len(dst)
	dst = appendPrefix(dst, SessionKind)
	dst = appendBytes(dst, tagAddress, s.Address)
	dst = appendNumber(dst, tagNumber, uint64(s.Number))
	dst = appendNumber(dst, tagHandled, uint64(s.Handled))
	dst = appendNumber(dst, tagSent, uint64(s.Sent))
	dst = appendNumber(dst, tagUnsent, uint64(s.Unsent))
	dst = appendNumber(dst, tagWait, uint64(s.Wait))
	dst = appendNumber(dst, tagUntil, uint64(s.Until))
	dst = appendNumber(dst, tagEvent, uint64(s.Event))
	dst = appendNumber(dst, tagPriority, uint64(uint8(s.Priority)))
	dst = appendNumber(dst, tagStanzas, uint64(len(s.Stanzas)))
	if len(s.Presence) > 0 {
		dst = appendBytes(dst, tagPresence, s.Presence)
	}
	for i := range s.Additions {
		a := &s.Additions[i]
		var size [binary.MaxVarintLen64]byte
		n := binary.PutUvarint(size[:], uint64(len(a.Name)))
		dst = binary.AppendUvarint(append(dst, tagAddition), uint64(n+len(a.Name)+len(a.Data)))
		dst = append(append(append(dst, size[:n]...), a.Name...), a.Data...)
	}
	head := len(dst) - begin - prefixSize
	queue := 0
	for i := range s.Stanzas {
		queue += stanzaHeader + len(s.Stanzas[i].Text) + checksumSize
	}
	dst = endHead(dst, begin, head, queue)
	for i := range s.Stanzas {
		x, at := &s.Stanzas[i], len(dst)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(x.Text)))
		dst = append(dst, x.Flags)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(x.At))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(x.ID))
		dst = appendChecksum(append(dst, x.Text...), at)
	}
	return dst
}

// AppendServer appends a server.
func AppendServer(dst []byte, s *Server) []byte {
	begin := len(dst)
	dst = appendPrefix(dst, ServerKind)
	dst = appendNumber(dst, tagLastEvent, uint64(s.Event))
	dst = appendNumber(dst, tagStopped, uint64(s.Stopped))
	return endHead(dst, begin, len(dst)-begin-prefixSize, 0)
}

func appendPrefix(dst []byte, k Kind) []byte {
	return append(dst, Version, byte(k), 0, 0, 0, 0, 0, 0, 0, 0)
}

// endHead sets the lengths in the prefix, and appends the checksum of the head.
func endHead(dst []byte, begin, head, queue int) []byte {
	binary.LittleEndian.PutUint32(dst[begin+2:], uint32(head))
	binary.LittleEndian.PutUint32(dst[begin+6:], uint32(queue))
	return appendChecksum(dst, begin)
}

func appendBytes(dst []byte, tag byte, value []byte) []byte {
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(value)))
	return append(dst, value...)
}

func appendNumber(dst []byte, tag byte, n uint64) []byte {
	var b [binary.MaxVarintLen64]byte
	return appendBytes(dst, tag, b[:binary.PutUvarint(b[:], n)])
}

// fields calls f for each field of a head.
func fields(head []byte, f func(tag byte, value []byte) bool) error {
	for len(head) > 0 {
		tag := head[0]
		n, size := binary.Uvarint(head[1:])
		if size <= 0 || n > uint64(len(head)-1-size) {
			return errField
		}
		head = head[1+size:]
		if !f(tag, head[:n:n]) {
			return errField
		}
		head = head[n:]
	}
	return nil
}

// number reads a number that is at most most.
func number(value []byte, most uint64) (n uint64, ok bool) {
	n, size := binary.Uvarint(value)
	return n, size > 0 && size == len(value) && n <= most
}

func number32(value []byte) (uint32, bool) {
	n, ok := number(value, math.MaxUint32)
	return uint32(n), ok
}

// ParseSession reads a session. If only some stanzas are damaged, the error is ErrLoss, and
// s has everything else. After another error s is useless.
func ParseSession(b []byte) (s Session, err error) {
	head, queue, err := split(b, SessionKind)
	if err != nil && !errors.Is(err, ErrLoss) {
		return s, err
	}
	stanzas := uint64(0)
	if e := fields(head, func(tag byte, value []byte) bool { return s.field(tag, value, &stanzas) }); e != nil {
		return s, e
	}
	if !s.readQueue(queue) || uint64(len(s.Stanzas)) != stanzas {
		err = ErrLoss
	}
	if uint64(s.Unsent) > stanzas {
		return s, errField
	}
	return s, err
}

// field reads a field of a session.
func (s *Session) field(tag byte, value []byte, stanzas *uint64) (ok bool) {
	var n uint64
	switch tag {
	case tagAddress:
		s.Address, ok = value, true
	case tagPresence:
		s.Presence, ok = value, true
	case tagNumber:
		s.Number, ok = number32(value)
	case tagHandled:
		s.Handled, ok = number32(value)
	case tagSent:
		s.Sent, ok = number32(value)
	case tagUnsent:
		s.Unsent, ok = number32(value)
	case tagEvent:
		s.Event, ok = number32(value)
	case tagWait:
		n, ok = number(value, math.MaxUint8)
		s.Wait = uint8(n)
	case tagPriority:
		n, ok = number(value, math.MaxUint8)
		s.Priority = int8(n)
	case tagUntil:
		n, ok = number(value, math.MaxUint64)
		s.Until = int64(n)
	case tagStanzas:
		*stanzas, ok = number(value, math.MaxUint32)
	case tagAddition:
		size, k := binary.Uvarint(value)
		if k <= 0 || size > uint64(len(value)-k) {
			return false
		}
		value = value[k:]
		s.Additions, ok = append(s.Additions, Addition{Name: string(value[:size]), Data: value[size:]}), true
	default:
		ok = true // of a later version
	}
	return ok
}

// readQueue reads the stanzas that are not damaged. It returns false if some are. After one
// whose length makes no sense, no other is found.
func (s *Session) readQueue(queue []byte) (whole bool) {
	whole = true
	for len(queue) > 0 {
		if len(queue) < stanzaHeader+checksumSize {
			return false
		}
		n := uint64(binary.LittleEndian.Uint32(queue))
		if n > uint64(len(queue)-stanzaHeader-checksumSize) {
			return false
		}
		end := stanzaHeader + int(n)
		entry, sum := queue[:end:end], binary.LittleEndian.Uint32(queue[end:])
		queue = queue[end+checksumSize:]
		if crc32.Checksum(entry, castagnoli) != sum {
			whole = false
			continue
		}
		s.Stanzas = append(s.Stanzas, Stanza{
			Flags: entry[4],
			At:    int64(binary.LittleEndian.Uint64(entry[5:])),
			ID:    int64(binary.LittleEndian.Uint64(entry[13:])),
			Text:  entry[stanzaHeader:],
		})
	}
	return whole
}

// ParseServer reads a server.
func ParseServer(b []byte) (s Server, err error) {
	head, queue, err := split(b, ServerKind)
	if err != nil {
		return s, err
	}
	if len(queue) > 0 {
		return s, errField
	}
	err = fields(head, func(tag byte, value []byte) (ok bool) {
		var n uint64
		switch tag {
		case tagLastEvent:
			n, ok = number(value, math.MaxInt64)
			s.Event = int64(n)
		case tagStopped:
			n, ok = number(value, math.MaxUint64)
			s.Stopped = int64(n)
		default:
			ok = true
		}
		return ok
	})
	return s, err
}
