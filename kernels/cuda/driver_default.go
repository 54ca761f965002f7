//go:build linux && (amd64 || arm64) && !gorgonia_cu

package cuda

func openDriver(library string) (driver, error) {
	d, err := openDynamic(library)
	if err != nil {
		return nil, err
	}
	return d, nil
}
