// Package cudatest gives tests a driver without a card: the library of ../fake, which runs the kernels' source on the processor.
//
// The library is compiled when it is first asked for, and kept in the user's cache by the digest of its sources. It is part of
// this OS process from then on, and its settings and counts are this process's: tests that change them do not run in parallel.
package cudatest

// Level is what the kernels are compiled for.
type Level int

// The two levels whose kernels differ.
const (
	SM70 Level = 70
	SM80 Level = 80
)

// Report is what the fake driver counted since it was configured.
type Report struct {
	Live          int            `json:"live"`   // objects that exist
	Leaked        int            `json:"leaked"` // objects that existed when their context went
	Launches      int            `json:"launches"`
	GraphLaunches int            `json:"graph_launches"`
	BytesMost     int64          `json:"bytes_most"` // of device memory at a time
	Calls         map[string]int `json:"calls"`
}
