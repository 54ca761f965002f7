package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/inference/transcript"
)

// view is the JSON form of a receipt: for people, and for programs that have no decoder. Encoded holds the exact bytes, of
// which everything else is a reading.
type view struct {
	Version        uint8           `json:"version"`
	Digest         Digest          `json:"digest"`
	Signer         string          `json:"signer"`
	Sequence       uint64          `json:"sequence"`
	Previous       Digest          `json:"previous"`
	Process        ao.ID           `json:"process"`
	Message        ao.ID           `json:"message"`
	Assignment     ao.ID           `json:"assignment"`
	Epoch          int64           `json:"epoch"`
	Nonce          int64           `json:"nonce"`
	Cron           string          `json:"cron,omitempty"`
	Original       *int64          `json:"duplicate_of_nonce,omitempty"`
	Module         ao.ID           `json:"module"`
	ModuleDigest   Digest          `json:"module_sha256"`
	ModuleFormat   string          `json:"module_format"`
	GasMax         uint64          `json:"gas_max"`
	MemoryBytesMax uint64          `json:"memory_bytes_max"`
	MemoryBefore   memoryView      `json:"memory_before"`
	Input          Digest          `json:"input"`
	MemoryAfter    memoryView      `json:"memory_after"`
	Result         Digest          `json:"result"`
	Gas            uint64          `json:"gas"`
	Fault          string          `json:"fault"`
	Inferences     []inferenceView `json:"inferences"`
	Reads          []readView      `json:"reads"`
	Device         string          `json:"device"`
	Build          string          `json:"build"`
	Signature      string          `json:"signature"`
	Encoded        []byte          `json:"encoded"` // base64
}

// memoryView says by the key what kind of digest it is.
type memoryView struct {
	Tree   *Digest `json:"tree,omitempty"`
	SHA256 *Digest `json:"sha256,omitempty"` // of receipts before version 3
	Bytes  uint64  `json:"bytes"`
}

func (r *Receipt) view(m Memory) memoryView {
	if r.Version < 3 {
		return memoryView{SHA256: &m.Digest, Bytes: m.Bytes}
	}
	return memoryView{Tree: &m.Digest, Bytes: m.Bytes}
}

// readView shows of what stands in the receipt its digest and size.
type readView struct {
	Name   string  `json:"name"`
	Kind   string  `json:"kind"`
	SHA256 *Digest `json:"sha256,omitempty"`
	Bytes  uint64  `json:"bytes"`
}

func (r *Read) view() readView {
	switch r.Kind {
	case ReadDigest:
		return readView{r.Name, "digest", &r.Digest, r.Bytes}
	case ReadInline:
		digest := Digest(sha256.Sum256(r.Content))
		return readView{r.Name, "inline", &digest, uint64(len(r.Content))}
	}
	return readView{Name: r.Name, Kind: "absent"}
}

type inferenceView struct {
	Transcript *transcript.Transcript `json:"transcript,omitempty"`
	Refusal    string                 `json:"refusal,omitempty"`
}

// MarshalJSON gives the JSON form. It fails if a transcript in r is none.
func (r *Receipt) MarshalJSON() ([]byte, error) {
	encoded, err := r.Encode()
	if err != nil {
		return nil, err
	}
	v := view{
		Version: r.Version,
		Digest:  r.Digest(), Signer: hex.EncodeToString(r.Signer[:]), Sequence: r.Sequence, Previous: r.Previous,
		Process: r.Process, Message: r.Message, Assignment: r.Assignment, Epoch: r.Epoch, Nonce: r.Nonce, Cron: r.Cron,
		Module: r.Module, ModuleDigest: r.ModuleDigest, ModuleFormat: r.ModuleFormat, GasMax: r.GasMax, MemoryBytesMax: r.MemoryBytesMax,
		MemoryBefore: r.view(r.MemoryBefore), Input: r.Input, MemoryAfter: r.view(r.MemoryAfter), Result: r.Result, Gas: r.Gas, Fault: r.Fault,
		Inferences: []inferenceView{}, Reads: []readView{}, Device: r.Device, Build: r.Build, Signature: hex.EncodeToString(r.Signature[:]), Encoded: encoded,
	}
	if r.Duplicate {
		v.Original = &r.Original
	}
	for i, inference := range r.Inferences {
		shown := inferenceView{Refusal: inference.Refusal}
		if inference.Transcript != nil {
			if shown.Transcript, err = transcript.Decode(inference.Transcript); err != nil {
				return nil, fmt.Errorf("receipt %d: inference %d: %w", r.Sequence, i, err)
			}
		}
		v.Inferences = append(v.Inferences, shown)
	}
	for _, read := range r.Reads {
		v.Reads = append(v.Reads, read.view())
	}
	return json.Marshal(v)
}
