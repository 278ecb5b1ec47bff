package sessiondata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
)

// Units returns the units that b consists of, one after another. The lengths of a unit whose
// head is damaged are not known: what is before the next whole one is returned as one unit,
// which the Parse functions do not accept. The units are parts of b.
func Units(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := unitSize(b)
			if n == 0 {
				for n = 1; n < len(b) && unitSize(b[n:]) == 0; n++ {
				}
			}
			n = min(n, len(b)) // the queue may be cut off
			if !yield(b[:n:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// unitSize returns the size of the unit with which b begins, in any version; 0 if b does not
// begin with a unit whose head is whole.
func unitSize(b []byte) int {
	if len(b) < prefixSize+checksumSize || b[1] != byte(SessionKind) && b[1] != byte(ServerKind) {
		return 0
	}
	head, queue := binary.LittleEndian.Uint32(b[2:]), binary.LittleEndian.Uint32(b[6:])
	if uint64(head) > uint64(len(b)-prefixSize-checksumSize) {
		return 0
	}
	end := prefixSize + int(head)
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return 0
	}
	return end + checksumSize + int(queue)
}

// KindOf returns the kind of the unit that b is.
func KindOf(b []byte) (Kind, error) {
	switch {
	case len(b) < 2:
		return 0, errTooShort
	case b[0] != Version:
		return 0, fmt.Errorf("%w: it is %d", ErrVersion, b[0])
	}
	return Kind(b[1]), nil
}

// split checks the prefix and the head of a unit, which b must be exactly unless the queue
// is damaged, and returns both parts.
func split(b []byte, want Kind) (head, queue []byte, err error) {
	switch k, err := KindOf(b); {
	case err != nil:
		return nil, nil, err
	case k != want:
		return nil, nil, fmt.Errorf("%w: it is of the kind %d", ErrDamaged, k)
	case len(b) < prefixSize:
		return nil, nil, errTooShort
	}
	n := uint64(binary.LittleEndian.Uint32(b[2:]))
	if uint64(len(b)) < prefixSize+n+checksumSize {
		return nil, nil, errTooShort
	}
	end := prefixSize + int(n)
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, nil, errChecksum
	}
	queue = b[end+checksumSize:]
	if uint64(len(queue)) != uint64(binary.LittleEndian.Uint32(b[6:])) {
		err = ErrLoss
	}
	return b[prefixSize:end], queue, err
}
