//go:build (!amd64 && !arm64) || portable

package parser

var vector, hasVector = false, false

func (w *window) fillVector(b []byte) (int, *Error) { return w.fillPortable(b) }
