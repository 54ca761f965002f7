package cuda

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// texts holds ptx/sm_NN/OPERATOR.ptx. An operator's file serves every card from sm_NN on, sm_90a only sm_90 itself; the newest
// that serves is loaded.
//
//go:embed ptx
var texts embed.FS

// finder looks kernels up in the modules that it loaded.
type finder struct {
	b       *Backend
	kernels map[string]*kernel
}

// find gives a kernel by the name of its entry point. A missing one is an error of the launch.
func (f *finder) find(name string) *kernel {
	if k := f.kernels[name]; k != nil {
		return k
	}
	return &kernel{name: name}
}

// loadModules loads the texts that suit the card and finds every kernel.
func (b *Backend) loadModules() error {
	f := &finder{b: b, kernels: map[string]*kernel{}}
	chosen, err := chooseTexts(texts, b.limits.arch)
	if err != nil {
		return err
	}
	for _, name := range chosen {
		text, err := texts.ReadFile(name)
		if err != nil {
			return err
		}
		if err := f.load(name, text); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	b.small.find(f)
	b.matmul.find(f)
	b.attention.find(f)
	return nil
}

func (f *finder) load(name string, text []byte) error {
	module, err := f.b.driver.loadModule(append(text[:len(text):len(text)], 0))
	if err != nil {
		return f.b.failed(err)
	}
	f.b.modules = append(f.b.modules, module)
	entries, err := entryPoints(string(text))
	if err != nil {
		return err
	}
	for _, k := range entries {
		if f.kernels[k.name] != nil {
			return fmt.Errorf("a second kernel %s", k.name)
		}
		if k.function, err = f.b.driver.function(module, k.name); err != nil {
			return f.b.failed(err)
		}
		f.kernels[k.name] = k
	}
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

var entryPattern = regexp.MustCompile(`\.visible \.entry (\w+)\(\s*\.param \.align 8 \.b8 \w+\[(\d+)\]\s*\)`)

// entryPoints reads kernels and the sizes of their arguments out of PTX.
func entryPoints(text string) ([]*kernel, error) {
	var found []*kernel
	for _, m := range entryPattern.FindAllStringSubmatch(text, -1) {
		size, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", m[1], err)
		}
		found = append(found, &kernel{name: m[1], argBytes: size, sharedBytes: 48 << 10})
	}
	if n := strings.Count(text, ".entry "); n != len(found) {
		return nil, fmt.Errorf("%d kernels, of which %d take one struct of arguments", n, len(found))
	}
	return found, nil
}
