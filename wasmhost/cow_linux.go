package wasmhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"reflect"

	"golang.org/x/sys/unix"
)

// cowMemory is a linear memory over an anonymous file, mapped so that writes go to private copies of its pages. The kernel
// knows which pages have such copies: no other page can have changed. A copy stays while messages change it now and then,
// so that they fault no more; what was left alone for a while is settled: written to the file, and its copy dropped.
type cowMemory struct {
	e       *evaluation // the one that runs now
	file    int
	mapped  []byte   // of the largest size; memory that was never touched takes no room
	pagemap *os.File // the host's
	ages    []uint8  // by page: 0 if it has no private copy that is known of, else 1 + messages that left it alone
	copies  int      // private copies, as far as known
}

// idleMax is for how many messages a private copy is kept that they leave alone.
const idleMax = 16

// openPagemap opens the file in which the kernel tells what pages of this daemon have private copies.
func openPagemap() (*os.File, error) { return os.Open("/proc/self/pagemap") }

// newCowMemory reserves a memory of at most bytesMax bytes. It fails where the kernel does not tell written pages.
func newCowMemory(bytesMax uint64, pagemap *os.File) (*cowMemory, error) {
	if pagemap == nil {
		return nil, errors.New("no /proc/self/pagemap")
	}
	file, err := unix.MemfdCreate("verbatim memory", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file for a memory: %w", err)
	}
	c := &cowMemory{file: file, pagemap: pagemap}
	if err := unix.Ftruncate(file, int64(bytesMax)); err != nil {
		c.Free()
		return nil, fmt.Errorf("make a file for a memory of %d bytes: %w", bytesMax, err)
	}
	c.mapped, err = unix.Mmap(file, 0, int(bytesMax), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		c.Free()
		return nil, fmt.Errorf("map a memory of %d bytes: %w", bytesMax, err)
	}
	c.mapped[0] = 1
	written, err := c.written(2 * leafBytes)
	if err == nil && (len(written) != 1 || written[0] != 0) {
		err = fmt.Errorf("the kernel says that pages %v were written, and it was page 0", written)
	}
	if err == nil {
		err = c.forget(written)
	}
	if err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// Free implements experimental.LinearMemory.
func (c *cowMemory) Free() {
	if c.mapped != nil {
		_ = unix.Munmap(c.mapped)
		c.mapped = nil
	}
	if c.file >= 0 {
		_ = unix.Close(c.file)
		c.file = -1
	}
}

// Bits of an entry of /proc/self/pagemap.
const (
	pagemapPresent = 1 << 63
	pagemapSwapped = 1 << 62
	pagemapFile    = 1 << 61 // the page is the file's own, not a private copy
)

// written gives the numbers of the pages below size that have private copies, in order.
func (c *cowMemory) written(size int) ([]int, error) {
	const chunk = 8192
	var out []int
	var raw [8 * chunk]byte
	first := int64(reflect.ValueOf(c.mapped).Pointer() / leafBytes)
	for page := 0; page < size/leafBytes; page += chunk {
		n := min(chunk, size/leafBytes-page)
		if _, err := c.pagemap.ReadAt(raw[:8*n], 8*(first+int64(page))); err != nil {
			return nil, fmt.Errorf("read which pages of a memory were written: %w", err)
		}
		for i := range n {
			entry := binary.LittleEndian.Uint64(raw[8*i:])
			if entry&(pagemapPresent|pagemapSwapped) != 0 && entry&pagemapFile == 0 {
				out = append(out, page+i)
			}
		}
	}
	return out, nil
}

// page gives the content of a page, to read and to write.
func (c *cowMemory) page(page int) []byte {
	return c.mapped[page*leafBytes : (page+1)*leafBytes : (page+1)*leafBytes]
}

// reach makes room to remember pages of a memory of a size.
func (c *cowMemory) reach(size int) {
	if more := size/leafBytes - len(c.ages); more > 0 {
		c.ages = append(c.ages, make([]uint8, more)...)
	}
}

// aged notes that a page has a private copy, and whether a message has changed it, and reports whether that copy is to go.
func (c *cowMemory) aged(page int, changed bool) bool {
	switch {
	case c.ages[page] == 0:
		c.copies++
		c.ages[page] = 1
	case changed:
		c.ages[page] = 1
	case c.ages[page] <= idleMax:
		c.ages[page]++
	}
	return c.ages[page] > idleMax
}

// put gives a page other content.
func (c *cowMemory) put(page int, content []byte) error {
	if c.ages[page] != 0 {
		copy(c.page(page), content)
		return nil
	}
	return c.write(page, content)
}

// write writes content to the file, for a page.
func (c *cowMemory) write(page int, content []byte) error {
	if n, err := unix.Pwrite(c.file, content, int64(page)*leafBytes); err != nil || n != len(content) {
		return fmt.Errorf("write page %d of a memory: %d bytes, %w", page, n, err)
	}
	return nil
}

// settle writes pages to the file, in order, and drops their copies.
func (c *cowMemory) settle(pages []int) error {
	for _, page := range pages {
		if err := c.write(page, c.page(page)); err != nil {
			return err
		}
		c.ages[page] = 0
	}
	c.copies -= len(pages)
	return c.forget(pages)
}

// bytes is what the memory takes.
func (c *cowMemory) bytes() int64 {
	var stat unix.Stat_t
	if err := unix.Fstat(c.file, &stat); err != nil {
		return int64(len(c.mapped)) // it is in a bad state: let it go first
	}
	return stat.Blocks*512 + int64(c.copies)*leafBytes
}

// forget drops the private copies of pages, in order: they show what is settled.
func (c *cowMemory) forget(pages []int) error {
	for len(pages) > 0 {
		n := 1
		for n < len(pages) && pages[n] == pages[0]+n {
			n++
		}
		if err := unix.Madvise(c.mapped[pages[0]*leafBytes:(pages[0]+n)*leafBytes], unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("drop pages %d to %d of a memory: %w", pages[0], pages[0]+n-1, err)
		}
		pages = pages[n:]
	}
	return nil
}
