// Package selftest tests the emulator: kernels with a known mistake each, which it must find, and device functions against
// plain loops. The tests need g++ or clang++.
package selftest
