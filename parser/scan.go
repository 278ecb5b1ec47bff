package parser

// scan finds the first byte from i on that is below 0x20, '<', '&' or c, or
// len(b). high is not zero if a byte before it has its top bit set.
func scan(b []byte, i int, c byte) (at int, high uint64) { return scanSWAR(b, i, c) }
