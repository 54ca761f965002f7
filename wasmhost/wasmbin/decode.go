package wasmbin

// Section numbers of the binary format.
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secStart     = 8
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
)

var header = [8]byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// sectionOrder maps a section number to its place; the data count section stands before the code.
func sectionOrder(id byte) int {
	switch {
	case id == secDataCount:
		return 2*secElement + 1
	case id >= secType && id <= secData:
		return 2 * int(id)
	}
	return 0
}

// Decode reads a module.
func Decode(b []byte) (*Module, error) {
	r := &reader{b: b}
	if len(b) > ModuleBytesMax {
		r.unsupported("module of %d bytes; the limit is %d", len(b), ModuleBytesMax)
		return nil, r.err
	}
	if len(b) < len(header) || [8]byte(b[:8]) != header {
		r.fail("not a WebAssembly 1.0 binary")
		return nil, r.err
	}
	r.pos = len(header)
	m, last := &Module{}, 0
	for !r.done() {
		id := r.u8()
		size := r.u32()
		start := r.pos
		body := r.take(size)
		if r.err != nil || id == secCustom {
			continue
		}
		order := sectionOrder(id)
		if order <= last {
			r.fail("section %d unknown, repeated or out of order", id)
			continue
		}
		last = order
		s := &reader{b: b[:start+len(body)], pos: start}
		s.wide = m.Wide()
		m.section(s, id, body)
		if s.err == nil && s.pos != len(s.b) {
			s.fail("section %d has trailing bytes", id)
		}
		r.err = s.err
	}
	if r.err == nil {
		m.check(r)
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func (m *Module) section(s *reader, id byte, body []byte) {
	switch id {
	case secType:
		m.typeSection(s)
	case secImport:
		m.importSection(s)
	case secFunction:
		n := s.count("functions", FunctionsMax)
		for i := 0; i < n; i++ {
			m.Functions = append(m.Functions, s.u32())
		}
	case secTable:
		n := s.count("tables", 100)
		for i := 0; i < n; i++ {
			t := Table{Type: s.valueType()}
			t.Limits = s.limits("table")
			m.Tables = append(m.Tables, t)
		}
	case secMemory:
		if n := s.count("memories", 100); n > 1 {
			s.unsupported("%d memories", n)
		} else if n == 1 {
			l := s.memoryLimits()
			m.Memory = &l
		}
	case secGlobal:
		m.globalSection(s)
	case secExport:
		m.exportSection(s)
	case secStart:
		m.HasStart = true
		s.u32()
	case secElement:
		m.elementSection(s)
	case secDataCount:
		m.DataCount = body
		s.u32()
	case secCode:
		n := s.count("bodies", FunctionsMax)
		for i := 0; i < n; i++ {
			m.Code = append(m.Code, s.take(s.u32()))
		}
	case secData:
		m.Data = body
		s.pos = len(s.b)
	}
}

func (m *Module) typeSection(s *reader) {
	n := s.count("types", FunctionsMax)
	for i := 0; i < n && s.err == nil; i++ {
		if form := s.u8(); form != 0x60 {
			s.unsupported("type of form 0x%02x", form)
		}
		m.Types = append(m.Types, FuncType{Params: s.valueTypes(1000), Results: s.valueTypes(1000)})
	}
}

func (m *Module) importSection(s *reader) {
	n := s.count("imports", FunctionsMax)
	for i := 0; i < n && s.err == nil; i++ {
		var im Import
		im.Module, im.Name = s.name(), s.name()
		if kind := Kind(s.u8()); kind != KindFunc && s.err == nil {
			s.unsupported("import %q %q is not a function", im.Module, im.Name)
		}
		im.TypeIndex = s.u32()
		m.Imports = append(m.Imports, im)
	}
}

func (m *Module) globalSection(s *reader) {
	n := s.count("globals", FunctionsMax)
	for i := 0; i < n && s.err == nil; i++ {
		g := Global{Type: s.valueType()}
		switch s.u8() {
		case 0:
		case 1:
			g.Mutable = true
		default:
			s.fail("global %d is neither constant nor mutable", i)
		}
		g.Init = constExpr(s)
		m.Globals = append(m.Globals, g)
	}
}

func (m *Module) exportSection(s *reader) {
	n := s.count("exports", FunctionsMax)
	for i := 0; i < n && s.err == nil; i++ {
		var e Export
		e.Name, e.Kind, e.Index = s.name(), Kind(s.u8()), s.u32()
		if e.Kind > KindGlobal {
			s.unsupported("export %q of kind %d", e.Name, e.Kind)
		}
		m.Exports = append(m.Exports, e)
	}
}

// elementSection splits the section into segments; Instrument reads them again to move function indices.
func (m *Module) elementSection(s *reader) {
	n := s.count("element segments", FunctionsMax)
	for i := 0; i < n && s.err == nil; i++ {
		start := s.pos
		element(s, nil, 0)
		if s.err == nil {
			m.Elements = append(m.Elements, s.b[start:s.pos])
		}
	}
}

// check verifies what the sections say about each other and the rewriter relies on.
func (m *Module) check(r *reader) {
	if len(m.Code) != len(m.Functions) {
		r.fail("%d function bodies for %d functions", len(m.Code), len(m.Functions))
	}
	if len(m.Imports)+len(m.Functions) > FunctionsMax {
		r.unsupported("%d functions; the limit is %d", len(m.Imports)+len(m.Functions), FunctionsMax)
	}
	for i := range len(m.Imports) + len(m.Functions) {
		if _, ok := m.Type(uint32(i)); !ok {
			r.fail("function %d has no type", i)
			return
		}
	}
	for _, t := range m.Tables {
		if t.Limits.Min > TableElementsMax {
			r.unsupported("table of %d elements; the limit is %d", t.Limits.Min, TableElementsMax)
		}
	}
}
