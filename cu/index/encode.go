package index

import (
	"encoding/binary"

	"verbatim/cu/receipt"
)

const (
	digestBytes = len(receipt.Digest{})
	placeBytes  = 8 + digestBytes
)

// Flags of a step.
const (
	flagDuplicate = 1 << iota
	flagFailed
)

func appendPlace(to []byte, place receipt.Place) []byte {
	return append(binary.LittleEndian.AppendUint64(to, uint64(place.Offset)), place.Previous[:]...)
}

func decodePlace(from []byte) (place receipt.Place, rest []byte, err error) {
	if len(from) < placeBytes {
		return place, nil, errEncoding
	}
	place.Offset = int64(binary.LittleEndian.Uint64(from))
	copy(place.Previous[:], from[8:placeBytes])
	return place, from[placeBytes:], nil
}

// integers takes little-endian integers off the front.
func integers(from []byte, into ...*int64) (rest []byte, err error) {
	if len(from) < 8*len(into) {
		return nil, errEncoding
	}
	for _, number := range into {
		*number = int64(binary.LittleEndian.Uint64(from))
		from = from[8:]
	}
	return from, nil
}

func appendIntegers(to []byte, numbers ...int64) []byte {
	for _, number := range numbers {
		to = binary.LittleEndian.AppendUint64(to, uint64(number))
	}
	return to
}

func appendHistory(to []byte, history receipt.History) []byte {
	return appendIntegers(to, history.Steps, history.First, history.Last)
}

func decodeHistory(from []byte) (history receipt.History, err error) {
	rest, err := integers(from, &history.Steps, &history.First, &history.Last)
	if err == nil && len(rest) != 0 {
		err = errEncoding
	}
	return history, err
}

func appendStep(to []byte, step receipt.Step) []byte {
	to = appendIntegers(appendPlace(to, step.Place), step.Nonce, step.Timestamp, step.BlockHeight)
	var flags byte
	if step.Duplicate {
		flags |= flagDuplicate
	}
	if step.Failed {
		flags |= flagFailed
	}
	return append(append(to, flags), step.Cron...)
}

func decodeStep(from []byte) (step receipt.Step, err error) {
	step.Place, from, err = decodePlace(from)
	if err == nil {
		from, err = integers(from, &step.Nonce, &step.Timestamp, &step.BlockHeight)
	}
	if err == nil && len(from) == 0 {
		err = errEncoding
	}
	if err != nil {
		return step, err
	}
	step.Duplicate, step.Failed = from[0]&flagDuplicate != 0, from[0]&flagFailed != 0
	step.Cron = string(from[1:])
	return step, nil
}

func appendUntil(to []byte, until receipt.Until) []byte {
	to = appendIntegers(appendPlace(to, until.Last), int64(until.Records), int64(until.Receipts), until.Bytes)
	return append(append(to, until.Checksum[:]...), until.Receipt[:]...)
}

func decodeUntil(from []byte) (until receipt.Until, err error) {
	var records, receipts int64
	until.Last, from, err = decodePlace(from)
	if err == nil {
		from, err = integers(from, &records, &receipts, &until.Bytes)
	}
	if err == nil && len(from) != 2*digestBytes {
		err = errEncoding
	}
	if err != nil {
		return until, err
	}
	until.Records, until.Receipts = int(records), uint64(receipts)
	copy(until.Checksum[:], from)
	copy(until.Receipt[:], from[digestBytes:])
	return until, nil
}
