//go:build (amd64 || arm64) && !portable

package parser

// byHalves returns two tables of 16 entries: a byte below 0x80 is a member if the entries
// for its low and its high half have a common bit. Each distinct set of columns gets a
// bit; there must be no more than 8 of them.
func byHalves(member func(c byte) bool) (low, high [32]byte) {
	columns := map[uint16]byte{}
	for row := range 8 {
		set := uint16(0)
		for col := range 16 {
			if member(byte(row<<4 | col)) {
				set |= 1 << col
			}
		}
		if set == 0 {
			continue
		}
		bit, known := columns[set]
		if !known {
			bit = 1 << len(columns)
			columns[set] = bit
		}
		high[row], high[row+16] = bit, bit
		for col := range 16 {
			if set>>col&1 != 0 && !known {
				low[col] |= bit
				low[col+16] |= bit
			}
		}
	}
	return low, high
}

// stopTables returns the tables for the stops of text and of values: one bit for each
// group of bytes in one row of ASCII that are stops in the same maps. No bit is 0x80, so
// that the kernel can use signed comparisons.
func stopTables() (low, high, text, value [32]byte) {
	bit := byte(1)
	for row := range 8 {
		for _, maps := range []uint64{stopText, stopValue, stopText | stopValue} {
			used := false
			for col := range 16 {
				if classBits[row<<4|col]&(stopText|stopValue) == maps {
					used = true
					low[col] |= bit
					low[col+16] |= bit
				}
			}
			if !used {
				continue
			}
			high[row] |= bit
			high[row+16] |= bit
			for i := range 32 {
				text[i] |= cond(maps&stopText != 0, bit)
				value[i] |= cond(maps&stopValue != 0, bit)
			}
			bit <<= 1
		}
	}
	return low, high, text, value
}

func cond(is bool, bits byte) byte {
	if is {
		return bits
	}
	return 0
}
