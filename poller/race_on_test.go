//go:build race

package poller

const raceDetector = true
