package cuda

import (
	"io/fs"
	"strings"
	"testing"
)

// TestDependentText: in every text, each kernel waits before it does anything, once, and nothing else has changed.
func TestDependentText(t *testing.T) {
	names, err := fs.Glob(texts, "ptx/sm_*/*.ptx")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d texts, error %v", len(names), err)
	}
	for _, name := range names {
		data, err := texts.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := dependentText(string(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kernels, err := entryPoints(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := strings.Count(text, "griddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;\n"); n != len(kernels) {
			t.Errorf("%s: %d waits in %d kernels", name, n, len(kernels))
		}
		for _, body := range strings.Split(text, "\n{\n")[1:] {
			for line := range strings.Lines(body) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, ".") {
					if line != "griddepcontrol.wait;" {
						t.Errorf("%s: a kernel begins with %q", name, line)
					}
					break
				}
			}
		}
		back := strings.ReplaceAll(text, "\tgriddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;\n", "")
		level := strings.Split(name, "/")[1]
		if back = strings.Replace(back, ".target sm_90\n", ".target "+level+"\n", 1); back != string(data) {
			t.Errorf("%s: more has changed than the waits and the target", name)
		}
	}
}

// TestDependentTextRefuses: texts that are not as the generator makes them.
func TestDependentTextRefuses(t *testing.T) {
	for _, text := range []string{
		"",
		".target sm_80\n.target sm_70\n",
		".target sm_80\n.visible .entry a(\n\t.param .align 8 .b8 a_param_0[8]\n)\n{\n\t.reg .pred %p<2>;\n",
		".target sm_80\n.visible .entry a(\n\t.param .align 8 .b8 a_param_0[8]\n)\n",
	} {
		if out, err := dependentText(text); err == nil {
			t.Errorf("%q became %q", text, out)
		}
	}
}
