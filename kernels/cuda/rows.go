package cuda

import (
	"bytes"
	"unsafe"

	"verbatim/kernels"
)

// row is what kernels know of one row of a batch; src/device.cuh has the same struct.
type row struct {
	pages    uint64 // device address of the KV's table of page addresses, by split; 0: the row is in no span
	position int32
	first    int32 // first position that the row sees
}

// rowTable is the batch's rows in device memory, uploaded only when they are not there yet.
type rowTable struct {
	device scratch
	rows   []row
	there  []byte
}

// rows gives the device address of the batch's rows and how many there are, gaps between spans included.
func (b *Backend) rows(spans []kernels.Span) (address uint64, count int) {
	t := &b.rowTable
	t.rows = t.rows[:0]
	for _, s := range spans {
		for len(t.rows) < s.Row {
			t.rows = append(t.rows, row{})
		}
		c := s.KV.(*kv)
		for i := range s.Rows {
			position := s.Position + i
			t.rows = append(t.rows, row{c.table, int32(position), int32(c.shape.FirstSeen(position))})
		}
	}
	if len(t.rows) == 0 {
		return 0, 0
	}
	text := unsafe.Slice((*byte)(unsafe.Pointer(&t.rows[0])), len(t.rows)*int(unsafe.Sizeof(row{})))
	before := t.device.address
	address = b.need(&t.device, len(text))
	if address == 0 {
		return 0, len(t.rows) // Read tells
	}
	if address != before || !bytes.Equal(text, t.there) {
		b.upload(address, text)
		t.there = append(t.there[:0], text...)
	}
	return address, len(t.rows)
}
