package wasmhost

// Running reports whether the module's second form was compiled.
func (m *Module) Running() bool { return m.running.module != nil }
