package ao

import "fmt"

// Module is the wasm that a process runs, described by the tags of the data item that holds it.
type Module struct {
	ID               ID
	Owner            string
	Tags             Tags
	Format           string // tag Module-Format, for example "wasm32-unknown-emscripten4"
	InputEncoding    string
	OutputEncoding   string
	MemoryLimitBytes int64 // tag Memory-Limit; 0 if absent
	ComputeLimit     int64 // tag Compute-Limit, in gas; 0 if absent
}

// NewModule fills in what the tags of a module say.
func NewModule(id ID, owner string, tags Tags) (Module, error) {
	module := Module{
		ID: id, Owner: owner, Tags: tags, Format: tags.Get("Module-Format"),
		InputEncoding: tags.Get("Input-Encoding"), OutputEncoding: tags.Get("Output-Encoding"),
	}
	if module.Format == "" {
		return Module{}, fmt.Errorf("module %s: no tag Module-Format", id)
	}
	var err error
	if module.MemoryLimitBytes, module.ComputeLimit, err = limits(tags); err != nil {
		return Module{}, fmt.Errorf("module %s: %w", id, err)
	}
	return module, nil
}

// WithProcess gives the module with the limits that hold for one process: a process tag goes before the module's.
func (m Module) WithProcess(process Process) (Module, error) {
	memory, compute, err := limits(process.Tags)
	if err != nil {
		return Module{}, fmt.Errorf("process %s: %w", process.ID, err)
	}
	if memory != 0 {
		m.MemoryLimitBytes = memory
	}
	if compute != 0 {
		m.ComputeLimit = compute
	}
	return m, nil
}

func limits(tags Tags) (memoryBytes, compute int64, err error) {
	if text, ok := tags.Lookup("Memory-Limit"); ok {
		if memoryBytes, err = ParseBytes(text); err != nil {
			return 0, 0, fmt.Errorf("tag Memory-Limit: %w", err)
		}
	}
	if text, ok := tags.Lookup("Compute-Limit"); ok {
		if compute, err = ParseInt("tag Compute-Limit", text); err != nil {
			return 0, 0, err
		}
	}
	return memoryBytes, compute, nil
}
