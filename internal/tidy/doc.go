// Package tidy holds the rules of the house as a test: who may import whom, where third parties and unsafe code may
// live, what deterministic code may not do, and how long a function may be. docs/ARCHITECTURE.md is the import table; this
// test reads it, so the table and the code can't part.
package tidy
