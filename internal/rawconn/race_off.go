//go:build !race

package rawconn

func beforeWrite() {}

func afterRead() {}
