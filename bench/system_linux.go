package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// peakOf is the most memory that a running process has had, in bytes; 0 when it is gone.
func peakOf(pid int) int64 {
	kilobytes, _ := strconv.ParseInt(field("/proc/"+strconv.Itoa(pid)+"/status", "VmHWM"), 10, 64)
	return kilobytes << 10
}

// processorSeconds is the processor time that this process has used.
func processorSeconds() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// processor is the name that the processor gives itself; in a virtual machine the family says more.
func processor() string {
	const path = "/proc/cpuinfo"
	return fmt.Sprintf("%s (family %s, model %s)", field(path, "model name"), field(path, "cpu family"), field(path, "model"))
}

// field is what a file in /proc says after "name:", without a trailing unit; "" when it says nothing.
func field(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		key, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		if string(bytes.TrimSpace(key)) == name {
			return string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB")))
		}
	}
	return ""
}

// dropFromCache asks the kernel to forget the pages of a file. It keeps those that another process has mapped.
func dropFromCache(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write back %s: %w", path, err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("drop %s from the page cache: %w", path, err)
	}
	return nil
}
