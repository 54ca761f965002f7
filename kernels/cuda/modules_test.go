package cuda

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestChooseTexts(t *testing.T) {
	folder := fstest.MapFS{}
	for _, name := range []string{"sm_70/a", "sm_80/a", "sm_90/a", "sm_90a/a", "sm_70/b", "sm_80/c"} {
		folder["ptx/"+name+".ptx"] = &fstest.MapFile{}
	}
	for arch, want := range map[int]string{
		61: "", 70: "sm_70/a sm_70/b", 75: "sm_70/a sm_70/b", 80: "sm_80/a sm_70/b sm_80/c", 89: "sm_80/a sm_70/b sm_80/c",
		90: "sm_90a/a sm_70/b sm_80/c", 100: "sm_90/a sm_70/b sm_80/c",
	} {
		chosen, err := chooseTexts(folder, arch)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range chosen {
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(name, "ptx/"), ".ptx"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("sm_%d: got %q, want %q", arch, got, want)
		}
	}
	folder["ptx/sm_x/a.ptx"] = &fstest.MapFile{}
	if _, err := chooseTexts(folder, 80); err == nil {
		t.Error("a folder sm_x was accepted")
	}
}

const twoEntries = ".visible .entry add(\n\t.param .align 8 .b8 add_param_0[24]\n)\n{ ret; }\n" +
	".visible .entry sub_2(\n\t.param .align 8 .b8 sub_2_param_0[8]\n) .maxntid 256 { ret; }\n"

func TestEntryPoints(t *testing.T) {
	found, err := entryPoints(twoEntries)
	if err != nil || len(found) != 2 || found[0].name != "add" || found[0].argBytes != 24 || found[1].name != "sub_2" || found[1].argBytes != 8 {
		t.Errorf("got %+v, %v from %q", found, err, twoEntries)
	}
	for _, text := range []string{
		strings.Replace(twoEntries, "[24]", "[25]", 1), strings.Replace(twoEntries, "[24]", "[]", 1), strings.Replace(twoEntries, "[24]", "[-8]", 1),
		strings.Replace(twoEntries, "add_param", "other_param", 1), strings.Replace(twoEntries, ".b8", ".b32", 1),
		strings.Replace(twoEntries, "[24]", "[24], .param .u32 add_param_1", 1), ".entry add", ".entry add(", ".entry add()",
	} {
		if found, err := entryPoints(text); err == nil {
			t.Errorf("got %+v from %q, want an error", found, text)
		}
	}
}

func FuzzEntryPoints(f *testing.F) {
	f.Add(twoEntries)
	for n := range len(twoEntries) {
		f.Add(twoEntries[:n])
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := entryPoints(text)
		if err != nil {
			return
		}
		if n := strings.Count(text, ".entry "); n != len(found) {
			t.Errorf("%d kernels of %d in %q", len(found), n, text)
		}
		for _, k := range found {
			if k.argBytes <= 0 || k.argBytes%8 != 0 {
				t.Errorf("kernel %q with %d bytes of arguments in %q", k.name, k.argBytes, text)
			}
		}
	})
}
