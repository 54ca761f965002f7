// Package bench measures the whole program beside a peer and beside the limits of the machine: how fast an engine
// evaluates a prompt and decodes, how long a model takes to load, how much memory it needs, and how well it predicts a
// text. It also makes models of random weights to measure with.
//
// Invariants: both sides of a comparison are programs of their own, run in turns on the same file with the same tokens, so
// that time and memory are taken the same way. A figure is the median of its runs. Our side also says what it computed, by
// a digest, and a run that computes something else than the one before it is an error, not a measurement.
//
// Nobody but cmd imports this package, and it decides nothing that a user gets: a measurement is no test.
package bench
