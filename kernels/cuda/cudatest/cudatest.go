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
	Kernels       []Kernel       `json:"kernels"` // in the order of their first launches
}

// Kernel is what all launches of a kernel did, as ../emulator/emulator.h explains. Sectors and footprints are counted with the
// setting traffic=1 only.
type Kernel struct {
	Name             string `json:"name"`
	Launches         int64  `json:"launches"`
	Blocks           int64  `json:"blocks"`
	Threads          int64  `json:"threads"`
	Loads            int64  `json:"loads"`
	Stores           int64  `json:"stores"`
	BytesRead        int64  `json:"bytes_read"`
	BytesWritten     int64  `json:"bytes_written"`
	Sectors          int64  `json:"sectors"`
	SectorsIdeal     int64  `json:"sectors_ideal"`
	FootprintRead    int64  `json:"footprint_read"`
	FootprintWritten int64  `json:"footprint_written"`
	DP4A             int64  `json:"dp4a"`
	MMA              int64  `json:"mma"`
	Barriers         int64  `json:"barriers"`
	Shuffles         int64  `json:"shuffles"`
	SharedBytes      int64  `json:"shared_bytes"`
	BlocksLast       int64  `json:"blocks_last"`
	ThreadsLast      int64  `json:"threads_last"`
}
