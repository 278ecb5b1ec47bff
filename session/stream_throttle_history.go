package session

// loginHistory records which accounts have logged in from which networks, and how many
// accounts from each network. It is a Bloom filter and a table of counters. One pair in a
// hundred is found by mistake; its only effect is a slightly weaker limit.
type loginHistory struct {
	bits    []uint64
	credits fixedTable[uint32] // accounts that have logged in, by the hash of the network
	n       int                // pairs in bits
}

const (
	historyBits   = 1 << 21 // 256 KiB
	historyMax    = 1 << 18 // pairs before a new generation begins
	historyHashes = 4
	creditSets    = 1 << 9
)

func newLoginHistory() *loginHistory {
	return &loginHistory{bits: make([]uint64, historyBits/64), credits: newFixedTable[uint32](creditSets)}
}

// bit returns the i-th bit of a pair.
func (f *loginHistory) bit(pair uint64, i int) (word *uint64, mask uint64) {
	at := (pair + uint64(i)*(pair>>32|1)) % historyBits
	return &f.bits[at/64], 1 << (at % 64)
}

func (f *loginHistory) has(pair uint64) bool {
	if f == nil {
		return false
	}
	for i := range historyHashes {
		if word, mask := f.bit(pair, i); *word&mask == 0 {
			return false
		}
	}
	return true
}

// add records a login.
func (f *loginHistory) add(pair, network uint64) {
	if f.has(pair) {
		return
	}
	f.n++
	for i := range historyHashes {
		word, mask := f.bit(pair, i)
		*word |= mask
	}
	*f.credits.at(network)++
}

// accounts returns the number of accounts that have logged in from a network.
func (f *loginHistory) accounts(network uint64) uint32 {
	if f == nil {
		return 0
	}
	return f.credits.get(network)
}
