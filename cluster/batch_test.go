package cluster

import (
	"bytes"
	"testing"
)

// TestBatch: what a batch is made of comes out of it.
func TestBatch(t *testing.T) {
	var items []byte
	want := []struct{ account, item string }{{"a@x", "one"}, {"", ""}, {"b@x", string(make([]byte, 300))}}
	for _, w := range want {
		items = appendItem(items, w.account, []byte(w.item))
	}
	batch := appendBatch(nil, 1<<47, 3, 128, items)
	run, epoch, number, rest, err := splitBatch(string(batch))
	if err != nil || run != 1<<47 || epoch != 3 || number != 128 {
		t.Fatalf("%d %d %d %v", run, epoch, number, err)
	}
	i := 0
	err = eachItem(rest, func(account, item string) {
		if account != want[i].account || item != want[i].item {
			t.Errorf("item %d: %q %q", i, account, item)
		}
		i++
	})
	if err != nil || i != len(want) {
		t.Errorf("%d items, %v", i, err)
	}
	for n := range len(batch) {
		// A batch that was cut short is an error or has fewer items.
		if _, _, _, rest, err := splitBatch(string(batch[:n])); err == nil {
			k := 0
			if eachItem(rest, func(string, string) { k++ }) == nil && k >= len(want) {
				t.Errorf("%d bytes of %d have %d items", n, len(batch), k)
			}
		}
	}
}

// FuzzBatch: whatever is in a stream, reading it ends, and what is read again is the same.
func FuzzBatch(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(appendBatch(nil, 1, 2, 3, appendItem(appendItem(nil, "a@x", []byte("item")), "", nil)))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Add([]byte{1, 2, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		run, epoch, number, items, err := splitBatch(string(b))
		if err != nil {
			return
		}
		var again []byte
		err = eachItem([]byte(items), func(account string, item []byte) { again = appendItem(again, account, item) })
		if err != nil {
			return
		}
		run2, epoch2, number2, items2, err := splitBatch(string(appendBatch(nil, run, epoch, number, again)))
		if err != nil || run2 != run || epoch2 != epoch || number2 != number || items2 != string(again) {
			t.Errorf("%d %d %d %q %v", run2, epoch2, number2, items2, err)
		}
	})
}

// TestSpares: an outbox keeps the memory of batches that were handled for the next ones, up
// to its limits.
func TestSpares(t *testing.T) {
	n := &Node{config: Config{QueueBytes: 1 << 30}}
	o := &outbox{}
	held := func() (bytes int) {
		for _, b := range o.spare {
			bytes += cap(b)
		}
		if bytes != o.spareBytes || bytes > maxSpares {
			t.Fatalf("spares of %d bytes, counted %d", bytes, o.spareBytes)
		}
		return bytes
	}
	fill := func(size int) {
		for range 2 * maxSpares / maxSpare {
			o.batches = append(o.batches, &sendBatch{items: make([]byte, 10, size)})
		}
		n.dropBatches(o, len(o.batches), 0)
	}
	fill(maxSpare + 1)
	if held() != 0 {
		t.Error("too large a piece is kept")
	}
	fill(maxSpare)
	if held() != maxSpares {
		t.Errorf("%d bytes are kept of many", held())
	}
	for range maxSpares / maxSpare {
		o.count, o.next = 1, len(o.batches)
		if n.cut(o); cap(o.items) != maxSpare || len(o.items) != 0 {
			t.Fatalf("the next items have %d bytes and room for %d", len(o.items), cap(o.items))
		}
		held()
	}
	if held() != 0 {
		t.Error("what is in use is kept as well")
	}
}
