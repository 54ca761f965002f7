//go:build !linux || !(amd64 || arm64)

package cuda

import (
	"fmt"
	"runtime"
)

func openDriver(string) (driver, error) {
	return nil, fmt.Errorf("CUDA is for Linux on amd64 or arm64, and this is %s on %s", runtime.GOOS, runtime.GOARCH)
}
