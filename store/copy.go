package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// Errors of Copy.
var (
	ErrNotEmpty  = errors.New("the target has data already")
	ErrDifferent = errors.New("source and target differ")
)

// Unfinished returns the error of opening a store that is an unfinished copy of a source.
func Unfinished(source string) error {
	return fmt.Errorf("%w of %s: run roost store copy with the same --from and --to again", ErrUnfinished, source)
}

// CopyReport is called by Copy when rows of a table were copied, or compared if verifying. n
// is their number.
type CopyReport func(t *Table, verifying bool, n int64)

// Copy copies everything from one store to another, and then compares the two. The target must
// be empty, or contain what an interrupted call for the same source has copied. source
// describes from. Nothing else may use the stores.
//
// Rows keep their keys, so the order of messages, the versions of rosters and the numbers that
// saved sessions refer to stay the same. Each page of rows is a transaction, and the next
// call continues after the last one.
func Copy(ctx context.Context, from, to Copier, source string, report CopyReport) error {
	if err := beginCopy(ctx, to, source); err != nil {
		return err
	}
	for _, t := range Tables {
		if err := copyTable(ctx, from, to, t, report); err != nil {
			return err
		}
	}
	last, err := from.LastMessage(ctx)
	if err == nil {
		err = to.DeriveRows(ctx, last)
	}
	if err != nil {
		return err
	}
	for _, t := range Tables {
		if err := compareTable(ctx, from, to, t, report); err != nil {
			return err
		}
	}
	return to.EndCopy(ctx)
}

// beginCopy makes sure that the target is an unfinished copy of the source.
func beginCopy(ctx context.Context, to Copier, source string) error {
	before, err := to.CopySource(ctx)
	switch {
	case err != nil || before == source:
		return err
	case before != "":
		return fmt.Errorf("%w, the unfinished copy of another source, %s: name that source to finish it, or an empty target", ErrNotEmpty, before)
	}
	for _, t := range Tables {
		n, err := to.CountRows(ctx, t)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w, %d rows in the table %s: name an empty one", ErrNotEmpty, n, t.Name)
		}
	}
	return to.BeginCopy(ctx, source)
}

// copyTable copies the rows of a table that the target does not have yet.
func copyTable(ctx context.Context, from, to Copier, t *Table, report CopyReport) error {
	last, err := to.LastRow(ctx, t)
	if err != nil {
		return err
	}
	if last != nil {
		n, err := to.CountRows(ctx, t)
		if err != nil {
			return err
		}
		report(t, false, n)
	}
	return eachPage(ctx, from, t, last, func(rows []Row) error {
		if err := to.WriteRows(ctx, t, rows); err != nil {
			return err
		}
		report(t, false, int64(len(rows)))
		return nil
	})
}

// eachPage calls f for the rows of a table after a row, in the order of their keys.
func eachPage(ctx context.Context, s Copier, t *Table, after Row, f func([]Row) error) error {
	for {
		rows, err := s.ReadRows(ctx, t, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := f(rows); err != nil {
			return err
		}
		after = rows[len(rows)-1]
	}
}

// compareTable compares the rows of a table.
func compareTable(ctx context.Context, from, to Copier, t *Table, report CopyReport) error {
	want, err := digestOf(ctx, from, t, func(int) {})
	if err != nil {
		return err
	}
	got, err := digestOf(ctx, to, t, func(n int) { report(t, true, int64(n)) })
	switch {
	case err != nil || got == want:
		return err
	case got.rows != want.rows:
		return fmt.Errorf("%w: the source has %d rows in the table %s, and the target %d", ErrDifferent, want.rows, t.Name, got.rows)
	}
	return fmt.Errorf("%w: their %d rows in the table %s are not the same", ErrDifferent, want.rows, t.Name)
}

// digest is the number of rows of a table, and a hash of all of them.
type digest struct {
	rows int64
	sum  [sha256.Size]byte
}

func digestOf(ctx context.Context, s Copier, t *Table, report func(n int)) (d digest, err error) {
	h := sha256.New()
	err = eachPage(ctx, s, t, nil, func(rows []Row) error {
		for _, r := range rows {
			r.hash(h)
		}
		d.rows += int64(len(rows))
		report(len(rows))
		return nil
	})
	h.Sum(d.sum[:0])
	return d, err
}

// hash writes a row so that different rows of a table are different.
func (r Row) hash(h hash.Hash) {
	var b []byte
	for _, v := range r {
		switch v := v.(type) {
		case int64:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(binary.LittleEndian.AppendUint64(b, uint64(len(v))), v...)
		case []byte:
			b = append(binary.LittleEndian.AppendUint64(b, uint64(len(v))), v...)
		default:
			panic(fmt.Sprintf("store: BUG: a value of type %T in a row", v))
		}
	}
	_, _ = h.Write(b) // a hash never fails
}
