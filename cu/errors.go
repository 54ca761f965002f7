package cu

import (
	"errors"
	"fmt"
)

// Kinds of errors. Every error of this package that a client can bring about wraps one of them; the rest are failures of
// this machine.
var (
	// ErrNotFound: the scheduler or the archive does not know a process, message or module.
	ErrNotFound = errors.New("not found")
	// ErrInput: the request itself makes no sense.
	ErrInput = errors.New("invalid request")
	// ErrModule: the process's module cannot be evaluated here, whatever the message.
	ErrModule = errors.New("the module cannot be evaluated")
	// ErrUpstream: the scheduler or the archive could not be asked, or what it said does not hold. Try again later.
	ErrUpstream = errors.New("upstream failure")
	// ErrDiverged: this build does not come to what the unit's own log says. Nothing more is signed for that process.
	ErrDiverged = errors.New("the log and this build disagree")
	// ErrClosed: the unit is shutting down.
	ErrClosed = errors.New("the unit is shutting down")
)

// upstream marks an error of the scheduler or the archive, unless it says that something does not exist.
func upstream(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUpstream, err)
}
