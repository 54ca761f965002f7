package cuda

import (
	"errors"
	"fmt"

	"verbatim/kernels"
)

var (
	// ErrNoDriver says that the machine has no NVIDIA driver.
	ErrNoDriver = errors.New("no NVIDIA driver on this machine")
	// ErrOldDriver says that the machine's driver is too old for the kernels of this program.
	ErrOldDriver = errors.New("the NVIDIA driver is too old, 520 (CUDA 11.8) or later is needed")
	// ErrStopped says that a backend does nothing any more, since an earlier error left the card's memory in doubt.
	ErrStopped = errors.New("the cuda backend has stopped after an earlier error")
	// ErrClosed says that a backend was closed.
	ErrClosed = errors.New("the cuda backend is closed")
)

// versionMin is the driver for the newest of our PTX: CUDA 11.8 reads PTX 7.8.
const versionMin = 11080

// dependentVersion is the first driver that keeps dependent launches in graphs.
const dependentVersion = 12030

func versionText(version int) string { return fmt.Sprintf("%d.%d", version/1000, version%1000/10) }

// Codes of cuda.h's CUresult that this package tells apart.
const (
	codeOutOfMemory = 2
	codeNotReady    = 600
)

// hint says in a few words what a code means for whoever runs the machine; "" if the code's name says it all.
func hint(code int) string {
	switch code {
	case codeOutOfMemory:
		return "the card's memory is spent, by this program or another one (nvidia-smi tells)"
	case 34:
		return "a stub stands in for the driver; take the toolkit's folder stubs out of the loader's path"
	case 46:
		return "another program has the card for itself; end it, or allow several with nvidia-smi -c 0"
	case 100:
		return "the driver finds no card; is there one (nvidia-smi tells), and is it given to the container (--gpus all)?"
	case 3, 304, 802:
		return "the machine's driver is not ready; where cards are linked by NVSwitch, nvidia-fabricmanager must run"
	case 803:
		return "the driver's library and its kernel module are of different versions; restart the machine after an update"
	case 209, 804:
		return "the kernels of this program do not run on this card; sm_70 (Volta) or later is needed"
	case 218, 222:
		return "the driver cannot compile the kernels; update it to 520 (CUDA 11.8) or later"
	case 221, 223:
		return "the driver's compiler of PTX (libnvidia-ptxjitcompiler) is missing or switched off"
	case 214, 220:
		return "the card's memory or link has an error that cannot be corrected; nvidia-smi -q -d ECC tells, and a reset of the card may help"
	case 702:
		return "a kernel ran longer than the card's watchdog allows; a card that draws a screen has one"
	case 700, 714, 715, 716, 717, 718, 719, 999:
		return "the card stopped in the middle; the kernel log (dmesg) may have a line with NVRM: Xid"
	}
	return ""
}

// Err says why the backend has stopped for good, nil while it works.
func (b *Backend) Err() error { return b.dead }

// launchError is a launch that the driver refused.
type launchError struct {
	kernel string
	err    error
}

func (e *launchError) Error() string { return "kernel " + e.kernel + ": " + e.err.Error() }
func (e *launchError) Unwrap() error { return e.err }

// failing says whether operators are to do nothing until the next Read.
func (b *Backend) failing() bool { return b.err != nil || b.dead != nil }

// fail keeps the first error since the last Read, which returns it.
func (b *Backend) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// scarce gives the error of a call that asks for memory: to have none leaves the card as it was.
func (b *Backend) scarce(err error) error {
	var e *callError
	if errors.As(err, &e) && e.code == codeOutOfMemory {
		return fmt.Errorf("%w: %w", kernels.ErrMemory, err)
	}
	return b.failed(err)
}

// failed gives a driver's error as the backend's: nothing works any more, because nobody knows what the card did.
func (b *Backend) failed(err error) error {
	if b.dead == nil {
		b.dead = fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}
