//go:build race

package session

// raceDetector: sync.Pool drops some of what it gets under the race detector.
const raceDetector = true
