package bench

import (
	"fmt"
	"io"
	"strings"

	"verbatim/kernels/quant"
	"verbatim/models/gguf"
)

// Requantise writes a model with its matrices in other formats, to measure what formats cost. Each value is rounded to what
// is nearest in its block: files from tools that look for better blocks predict a little better.
func Requantise(w io.Writer, data []byte, mix Mix) error {
	file, err := gguf.Parse(data)
	if err != nil {
		return err
	}
	var pairs []gguf.KeyValue
	for _, key := range file.Keys() {
		if key == "general.alignment" || key == "general.file_type" || key == "general.quantization_version" {
			continue // of the file that was read
		}
		value, err := copied(file, key)
		if err != nil {
			return fmt.Errorf("copy key %q: %w", key, err)
		}
		pairs = append(pairs, gguf.KeyValue{Key: key, Value: value})
	}
	layers, err := file.Uint("llama.block_count")
	if err != nil {
		return err
	}
	var tensors []gguf.Tensor
	for _, t := range file.Tensors() {
		if len(t.Dims) == 2 {
			t = requantised(t, mix.of(t.Name, int(layers), t.Dims[0]))
		}
		tensors = append(tensors, t)
	}
	return gguf.Write(w, pairs, tensors)
}

// of is the format of a matrix by its name in a file.
func (m Mix) of(name string, layers, cols int) quant.Type {
	var layer int
	var rest string
	if n, _ := fmt.Sscanf(name, "blk.%d.%s", &layer, &rest); n < 2 {
		return fitting(m.head, cols)
	}
	return m.ofLayer(strings.TrimSuffix(rest, ".weight"), layer, layers, cols)
}

func requantised(t gguf.Tensor, to quant.Type) gguf.Tensor {
	cols, rowBytes := t.Dims[0], len(t.Data)/t.Rows()
	row := make([]float32, cols)
	var data []byte
	for r := range t.Rows() {
		quant.Dequantise(t.Type, row, t.Data[r*rowBytes:][:rowBytes])
		data = append(data, quant.Quantise(to, row)...)
	}
	return gguf.Tensor{Name: t.Name, Type: to, Dims: t.Dims, Data: data}
}

// copied is a metadata value as gguf.Write takes it.
func copied(file *gguf.File, key string) (any, error) {
	v, _ := file.Value(key)
	switch v.Type {
	case gguf.TypeString:
		return file.String(key)
	case gguf.TypeBool:
		return file.Bool(key)
	case gguf.TypeFloat32:
		return file.Float(key)
	case gguf.TypeUint8, gguf.TypeUint16, gguf.TypeUint32:
		n, err := file.Uint(key)
		return uint32(n), err
	case gguf.TypeUint64:
		return file.Uint(key)
	case gguf.TypeArray:
		switch v.Elem {
		case gguf.TypeString:
			return file.Strings(key)
		case gguf.TypeFloat32:
			return file.Floats(key)
		case gguf.TypeInt32:
			return file.Ints(key)
		}
		return nil, fmt.Errorf("an array of %v cannot be copied", v.Elem)
	}
	return nil, fmt.Errorf("a value of type %v cannot be copied", v.Type)
}
