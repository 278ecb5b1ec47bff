package session

import "cmp"

// ranked remembers a value for each of many keys in a fixed amount of memory. A key
// is a hash that nobody outside can compute.
//
// Whatever strangers do, the table neither grows nor mixes keys up: a key that
// finds its set full takes the place of the one with the smallest value. A crowd of
// keys with small values therefore pushes out only its like; large ones stay.
type fixedTable[V cmp.Ordered] struct {
	sets [][tableWays]tableEntry[V]
}

const tableWays = 8

type tableEntry[V cmp.Ordered] struct {
	key   uint64 // 0: free
	value V
}

// newRanked returns a table of sets*tableWays keys; sets is a power of two.
func newFixedTable[V cmp.Ordered](sets int) fixedTable[V] {
	return fixedTable[V]{make([][tableWays]tableEntry[V], sets)}
}

func (r fixedTable[V]) set(key uint64) *[tableWays]tableEntry[V] {
	return &r.sets[key>>32&uint64(len(r.sets)-1)]
}

// get returns the value of a key, zero if it has none.
func (r fixedTable[V]) get(key uint64) (v V) {
	if len(r.sets) == 0 {
		return v
	}
	for _, e := range r.set(key) {
		if e.key == key {
			return e.value
		}
	}
	return v
}

// at returns the place of a key's value, which is zero if the key is new.
func (r fixedTable[V]) at(key uint64) *V {
	set := r.set(key)
	least := &set[0]
	for i := range set {
		switch e := &set[i]; {
		case e.key == key:
			return &e.value
		case e.value < least.value:
			least = e
		}
	}
	*least = tableEntry[V]{key: key}
	return &least.value
}
