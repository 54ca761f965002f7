//go:build linux && (amd64 || arm64)

package cuda

import "errors"

func openDriver(library string) (driver, error) {
	return nil, errors.New("no driver yet")
}
