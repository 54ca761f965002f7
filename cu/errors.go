package cu

import (
	"errors"
	"fmt"

	"verbatim/cu/ao"
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
	// ErrDenied: this unit is told not to serve the process.
	ErrDenied = errors.New("access denied")
	// ErrEarlier: the history of the process begins later here, with a checkpoint.
	ErrEarlier = errors.New("earlier than what this unit knows")
	// ErrBehind: the process has so much to catch up with that others are asked to come back later.
	ErrBehind = errors.New("the process is behind")
	// ErrCrowded: too much waits already.
	ErrCrowded = errors.New("too many wait")
	// ErrBusy: the device that runs the model has no memory left for another session. Try again later.
	ErrBusy = errors.New("the model's device has no memory left")
	// ErrClosed: the unit is shutting down.
	ErrClosed = errors.New("the unit is shutting down")
)

// DeniedError says which process is not served, or whose. It is ErrDenied.
type DeniedError struct {
	Process ao.ID
	Owner   string // "": it is not about the owner
}

// Error implements error, in the words of the reference.
func (e *DeniedError) Error() string {
	if e.Owner != "" {
		return "Access denied for process owner " + e.Owner
	}
	return "Access denied for process " + e.Process.String()
}

// Unwrap implements errors.Unwrap.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// upstream marks an error of the scheduler or the archive, unless it says that something does not exist.
func upstream(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUpstream, err)
}
