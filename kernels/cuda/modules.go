package cuda

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// texts holds ptx/sm_NN/OPERATOR.ptx. An operator's file serves every card from sm_NN on, sm_90a only sm_90 itself; the newest
// that serves is loaded.
//
//go:embed ptx
var texts embed.FS

// module is a text, compiled for the card when the first of its kernels is launched: that takes the driver up to seconds.
type module struct {
	name   string
	handle uint64 // 0: not loaded
}

// finder looks kernels up by the names of their entry points.
type finder map[string]*kernel

// find gives a kernel. To launch one that no text for this card has is a bug.
func (f finder) find(name string) *kernel {
	if k := f[name]; k != nil {
		return k
	}
	return &kernel{name: name}
}

// findKernels reads what the texts that suit the card have. It compiles nothing.
func (b *Backend) findKernels() error {
	chosen, err := chooseTexts(texts, b.limits.arch)
	if err != nil {
		return err
	}
	f := finder{}
	for _, name := range chosen {
		text, err := texts.ReadFile(name)
		if err != nil {
			return err
		}
		entries, err := entryPoints(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m := &module{name: name}
		for _, k := range entries {
			if f[k.name] != nil {
				return fmt.Errorf("%s: a second kernel %s", name, k.name)
			}
			k.module = m
			f[k.name] = k
		}
		b.modules = append(b.modules, m)
	}
	b.small.find(f)
	b.matmul.find(f)
	b.attention.find(f)
	b.limit.find(f)
	return nil
}

// ready makes the driver know a kernel, and lets it have that much dynamic shared memory. The context is current.
func (b *Backend) ready(k *kernel, sharedBytes int) error {
	if k.function == 0 {
		if err := b.loadKernel(k); err != nil {
			return err
		}
	}
	if sharedBytes > k.sharedBytes {
		if err := b.driver.setSharedBytesMax(k.function, sharedBytes); err != nil {
			return b.failed(err)
		}
		k.sharedBytes = sharedBytes
	}
	return nil
}

func (b *Backend) loadKernel(k *kernel) error {
	m := k.module
	if m.handle == 0 {
		text, err := texts.ReadFile(m.name)
		if err != nil {
			return err
		}
		if b.dependent {
			changed, err := dependentText(string(text))
			if err != nil {
				return fmt.Errorf("load %s: %w", m.name, err)
			}
			text = []byte(changed)
		}
		if m.handle, err = b.driver.loadModule(append(text, 0)); err != nil {
			m.handle = 0
			return fmt.Errorf("load %s: %w", m.name, b.scarce(err))
		}
	}
	function, err := b.driver.function(m.handle, k.name)
	if err != nil {
		return fmt.Errorf("load %s: %w", m.name, b.failed(err))
	}
	k.function = function
	return nil
}

// chooseTexts picks for every operator the newest text that a card of this level runs.
func chooseTexts(texts fs.FS, arch int) ([]string, error) {
	all, err := fs.Glob(texts, "ptx/sm_*/*.ptx")
	if err != nil {
		return nil, err
	}
	best := map[string]string{}
	level := map[string]int{}
	var order []string
	for _, name := range all {
		text := strings.TrimPrefix(path.Base(path.Dir(name)), "sm_")
		number, only := strings.CutSuffix(text, "a")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%s: its folder names no level", name)
		}
		if n > arch || only && n != arch {
			continue
		}
		rank := 2 * n
		if only {
			rank++
		}
		operator := path.Base(name)
		if best[operator] == "" {
			order = append(order, operator)
		}
		if best[operator] == "" || rank > level[operator] {
			best[operator], level[operator] = name, rank
		}
	}
	for i, operator := range order {
		order[i] = best[operator]
	}
	return order, nil
}

// entryPoints reads kernels and the sizes of their arguments out of PTX:
//
//	.entry NAME(
//		.param .align 8 .b8 NAME_param_0[24]
//	)
func entryPoints(text string) ([]*kernel, error) {
	var found []*kernel
	for {
		_, rest, ok := strings.Cut(text, ".entry ")
		if !ok {
			return found, nil
		}
		name, rest, ok := strings.Cut(rest, "(")
		parameters, rest, ended := strings.Cut(rest, ")")
		parameters = strings.TrimSpace(parameters)
		parameters, block := strings.CutPrefix(parameters, ".param .align 8 .b8 "+name+"_param_0[")
		size, err := strconv.Atoi(strings.TrimSuffix(parameters, "]"))
		if !ok || !ended || !block || err != nil || size <= 0 || size%8 != 0 {
			return nil, fmt.Errorf("kernel %.64q does not take one struct of whole 8 bytes", name)
		}
		found = append(found, &kernel{name: name, argBytes: size, sharedBytes: 48 << 10})
		text = rest
	}
}
