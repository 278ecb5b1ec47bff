package session

import "cmp"

// fixedTable holds a value for each of many keys in a fixed amount of memory. A key is a
// hash that clients cannot compute.
//
// An attacker can neither make the table grow nor make keys collide: a new key whose set is
// full replaces the one with the smallest value. Many keys with small values therefore
// replace only each other; keys with large values stay.
type fixedTable[V cmp.Ordered] struct {
	sets [][tableWays]tableEntry[V]
}

const tableWays = 8

type tableEntry[V cmp.Ordered] struct {
	key   uint64 // 0: free
	value V
}

// newFixedTable returns a table of sets*tableWays keys. sets must be a power of two.
func newFixedTable[V cmp.Ordered](sets int) fixedTable[V] {
	return fixedTable[V]{make([][tableWays]tableEntry[V], sets)}
}

func (r fixedTable[V]) set(key uint64) *[tableWays]tableEntry[V] {
	return &r.sets[key>>32&uint64(len(r.sets)-1)]
}

// get returns the value of a key, zero if the key is not in the table.
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

// at returns a pointer to a key's value, which is zero if the key is new. It is valid until
// the next call of at.
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
