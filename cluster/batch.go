package cluster

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// A batch is one entry of a stream: a head and items. All numbers are unsigned varints.
//
//	head: run and epoch of the sending node, number of the batch
//	item: length and text of the account, length and bytes of the item
//
// Batches of one run for one node are numbered from 1.

// batchHead is the largest size of a head, in bytes.
const batchHead = 3 * binary.MaxVarintLen64

var errBatch = errors.New("the batch is damaged")

// appendItem appends an item to the items of a batch.
func appendItem(items []byte, account string, item []byte) []byte {
	items = binary.AppendUvarint(items, uint64(len(account)))
	items = append(items, account...)
	items = binary.AppendUvarint(items, uint64(len(item)))
	return append(items, item...)
}

// appendBatch appends a batch.
func appendBatch(dst []byte, run, epoch, number uint64, items []byte) []byte {
	dst = binary.AppendUvarint(dst, run)
	dst = binary.AppendUvarint(dst, epoch)
	dst = binary.AppendUvarint(dst, number)
	return append(dst, items...)
}

// splitBatch returns the parts of a batch.
func splitBatch(b string) (run, epoch, number uint64, items string, err error) {
	for _, v := range []*uint64{&run, &epoch, &number} {
		if *v, b, err = cutNumber(b); err != nil {
			return 0, 0, 0, "", err
		}
	}
	return run, epoch, number, b, nil
}

// eachItem calls f for each item, in order.
func eachItem[T ~string | ~[]byte](items T, f func(account string, item T)) error {
	for len(items) > 0 {
		account, rest, err := cutText(items)
		if err != nil {
			return err
		}
		item, rest, err := cutText(rest)
		if err != nil {
			return err
		}
		f(string(account), item)
		items = rest
	}
	return nil
}

// cutNumber splits a number from the beginning.
func cutNumber[T ~string | ~[]byte](b T) (v uint64, rest T, err error) {
	for i := 0; i < len(b) && i < binary.MaxVarintLen64; i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, b[i+1:], nil
		}
	}
	return 0, rest, errBatch
}

// cutText splits a length and as many bytes from the beginning.
func cutText[T ~string | ~[]byte](b T) (text, rest T, err error) {
	n, b, err := cutNumber(b)
	if err != nil || n > uint64(len(b)) {
		return text, rest, errBatch
	}
	return b[:n], b[n:], nil
}

// streamKeys are the stream of a node and its state; both are in one slot of Redis Cluster.
func streamKeys(epoch uint64) []string {
	tag := "roost:b:{" + strconv.FormatUint(epoch, 36) + "}"
	return []string{tag, tag + ":s"}
}
