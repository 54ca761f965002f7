package cpu_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
)

// packedTypes are all formats that have a packed form.
var packedTypes = []quant.Type{
	quant.F32, quant.F16, quant.BF16, quant.Q8_0, quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.IQ4_NL,
	quant.Q2_K, quant.Q3_K, quant.Q4_K, quant.Q5_K, quant.Q6_K, quant.IQ4_XS,
}

// cacheModel gives a backend a matrix of every format, in blocks of bytes without a meaning but finite numbers, and returns the
// bits of their products. seed is the model.
func cacheModel(t testing.TB, b *cpu.Backend, seed byte) string {
	t.Helper()
	const rows, cols = 61, 512
	x, y := values(t, b, noise(cols, 2)), values(t, b, make([]float32, rows))
	var results strings.Builder
	for _, ty := range packedTypes {
		rowBytes, _ := quant.RowBytes(ty, cols)
		data := make([]byte, rows*rowBytes)
		for i := range data {
			data[i] = (byte(i*7) ^ byte(i>>8)*31 + seed) & 0x3F // in no place of a float an infinity
		}
		m, err := b.NewMatrix(ty, rows, cols, data)
		if err != nil {
			t.Fatal(err)
		}
		b.MatMul([]kernels.Buffer{y}, []kernels.Matrix{m}, x, 1)
		fmt.Fprintf(&results, "%v %s\n", ty, digest(t, b, y))
	}
	return results.String()
}

// withCache starts a backend on a folder, makes a model there, saves, and returns the bits of its products and what
// SaveCache said.
func withCache(t testing.TB, folder, level string, digest, seed byte) (string, error) {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Level: level, CacheFolder: folder, Model: [32]byte{digest}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	results := cacheModel(t, b, seed)
	err = b.SaveCache()
	if b.PackedBytes() == 0 && level != "generic" {
		t.Error("got no packed bytes")
	}
	return results, err
}

// cacheFolder is a folder with the good file of a model, its path, and what its products are. It needs a level that packs and a
// system that maps files.
func cacheFolder(t testing.TB, level string) (folder, path, want string) {
	t.Helper()
	if runtime.GOOS != "linux" || level == "generic" || !slices.Contains(cpu.Levels(), level) {
		t.Skipf("level %s or mapping files is not available on this machine", level)
	}
	folder = filepath.Join(t.TempDir(), "packed")
	want, err := withCache(t, folder, level, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return folder, onlyFile(t, folder), want
}

func onlyFile(t testing.TB, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got files %v, error %v; want one file", files, err)
	}
	return files[0]
}

func inode(t testing.TB, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestCache: the second start uses the file, and no product changes.
func TestCache(t *testing.T) {
	for _, level := range []string{"avx2", "avx512", "neon"} {
		t.Run(level, func(t *testing.T) {
			folder, path, want := cacheFolder(t, level)
			if plain := cacheModel(t, newBackend(t, 2, level), 0); want != plain {
				t.Errorf("first start: got\n%swant, as without a cache,\n%s", want, plain)
			}
			before := inode(t, path)
			got, err := withCache(t, folder, level, 1, 0)
			if got != want || err != nil {
				t.Errorf("second start: got error %v and\n%swant\n%s", err, got, want)
			}
			if !os.SameFile(before, inode(t, path)) {
				t.Error("the second start wrote the file anew")
			}
			if _, err := withCache(t, folder, level, 2, 0); err != nil {
				t.Errorf("another model: %v", err)
			}
			if files, _ := filepath.Glob(filepath.Join(folder, "*")); len(files) != 2 {
				t.Errorf("got files %v, want one for each model", files)
			}
		})
	}
}

// packedDigests are of the cache files of cacheModel. When they change, packingVersion must too.
var packedDigests = map[string]string{
	"avx2":   "25ab5023c50c917b7e95671adaea6b4db4842579f4b0732b5af3e03732357d13",
	"avx512": "ff87977d2a0eff1009400ee556a9f8941082b961471e7c02677845ee7eff2c3b",
	"neon":   "4c7b6aea5bd6a8ee9d88a41ff65609cc8f2d6a8453ff59140d205c4e4f1f5625",
}

func TestPackedBytes(t *testing.T) {
	for level, want := range packedDigests {
		t.Run(level, func(t *testing.T) {
			_, path, _ := cacheFolder(t, level)
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(file)); got != want {
				t.Errorf("got a file with digest %s, want %s: with other packed bytes goes another packingVersion", got, want)
			}
		})
	}
}

// TestCacheDamage: a file with a flipped bit or without its end is refused, and made anew.
func TestCacheDamage(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	folder, path, want := cacheFolder(t, level)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, file []byte) {
		t.Helper()
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := withCache(t, folder, level, 1, 0)
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", what, got, want)
		}
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v, want one that names the file", what, err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, good) {
			t.Errorf("%s: the file was not made anew (error %v)", what, err)
		}
	}
	for i := range 24 {
		at := i * (len(good) - 1) / 23
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (i % 8)
		refuse(fmt.Sprintf("bit %d of byte %d of %d flipped", i%8, at, len(good)), bad)
	}
	for _, n := range []int{1, 7, 47, 48, 49, 4096, len(good) / 2, len(good) - 1} {
		refuse(fmt.Sprintf("%d of %d bytes left", n, len(good)), good[:n])
	}
	refuse("bytes appended", append(bytes.Clone(good), 0))
}

// TestCacheOfOther: a file that is whole but another model's is found out by the tiles.
func TestCacheOfOther(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	folder, path, _ := cacheFolder(t, level)
	want := cacheModel(t, newBackend(t, 2, level), 1)
	got, err := withCache(t, folder, level, 1, 1) // the digest is a lie
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "is not the model's") {
		t.Errorf("got error %v, want one about a tile", err)
	}
	// A file under a name that is not its own.
	if _, err := withCache(t, folder, level, 2, 1); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(path, "/01", "/02", 1)
	if err := os.Rename(path, other); err != nil {
		t.Fatal(err)
	}
	if got, err = withCache(t, folder, level, 2, 1); got != want || err == nil || !strings.Contains(err.Error(), "they are of model 01") {
		t.Errorf("renamed: got error %v and\n%swant an error that names the model, and\n%s", err, got, want)
	}
}

// TestCacheOfVersion: files of other versions go, other files stay.
func TestCacheOfVersion(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	folder, path, _ := cacheFolder(t, level)
	old := strings.Replace(path, ".1.packed", ".0.packed", 1)
	other := filepath.Join(folder, "notes")
	for _, p := range []string{old, other} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := withCache(t, folder, level, 1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the file of another version is still there (error %v)", err)
	}
	inode(t, other)
	inode(t, path)
}

// TestCacheOfOthers: what others can write to is not used.
func TestCacheOfOthers(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	folder, path, want := cacheFolder(t, level)
	for _, p := range []string{path, folder} {
		before := inode(t, p)
		if err := os.Chmod(p, before.Mode()|0o020); err != nil {
			t.Fatal(err)
		}
		got, err := withCache(t, folder, level, 1, 0)
		if got != want || err == nil || !strings.Contains(err.Error(), "others may write to") {
			t.Errorf("%s: got error %v and\n%swant an error that says who may write, and\n%s", p, err, got, want)
		}
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	link := path + ".link"
	if err := os.Rename(path, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(link, path); err != nil {
		t.Fatal(err)
	}
	if got, err := withCache(t, folder, level, 1, 0); got != want || err == nil {
		t.Errorf("a link: got error %v and\n%swant an error and\n%s", err, got, want)
	}
}

// FuzzCacheFile: no file changes a product.
func FuzzCacheFile(f *testing.F) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	_, path, want := cacheFolder(f, level)
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	// The inputs are the ends of files, where the manifest is, since files are large.
	end := good[len(good)-4096:]
	f.Add(end)
	f.Add(end[4000:])
	f.Add([]byte{})
	name := filepath.Base(path)
	f.Fuzz(func(t *testing.T, end []byte) {
		folder := t.TempDir()
		file := append(bytes.Clone(good[:len(good)-4096]), end...)
		if err := os.WriteFile(filepath.Join(folder, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := cpu.New(cpu.Options{Threads: 1, Level: level, CacheFolder: folder, Model: [32]byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if got := cacheModel(t, b, 0); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

// TestFindPacked: a file that is found by its sketch and checked in part, wholly or not at all gives the same products; one of
// another model with that sketch, or a damaged one, is not used.
func TestFindPacked(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	folder, path, want := cacheFolder(t, level)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := make(chan struct{}), make(chan struct{})
	close(known)
	start := func(what string, digest byte, until <-chan struct{}, refused bool) {
		t.Helper()
		p := cpu.FindPacked(folder, level, [32]byte{})
		if p == nil {
			t.Fatalf("%s: got no packed weights, want those in %s", what, path)
		}
		p.Check(until)
		b, err := cpu.New(cpu.Options{Threads: 2, Level: level, CacheFolder: folder, Model: [32]byte{digest}, Packed: p})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if got := cacheModel(t, b, 0); got != want {
			t.Errorf("%s: got\n%swant\n%s", what, got, want)
		}
		if err := b.SaveCache(); (err != nil) != refused {
			t.Errorf("%s: got error %v, want one: %v", what, err, refused)
		}
	}
	start("checked", 1, unknown, false)
	start("not checked", 1, known, false)
	start("another model", 2, unknown, false)
	if err := os.Remove(strings.Replace(path, "/01", "/02", 1)); err != nil {
		t.Error(err)
	}
	for _, until := range []chan struct{}{known, unknown} {
		bad := bytes.Clone(good)
		bad[5000] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		start("damaged", 1, until, true)
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, good) {
			t.Errorf("damaged: the file was not made anew (error %v)", err)
		}
	}
	if p := cpu.FindPacked(folder, level, [32]byte{1}); p != nil {
		t.Error("got packed weights for a sketch that no file has, want none")
	}
}

// TestCacheFull: where the file cannot be written to its end, weights are packed into memory, and nothing stays behind.
func TestCacheFull(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	_, _, want := cacheFolder(t, level)
	for _, limit := range []uint64{0, 4096, 100 << 10, 300 << 10} {
		folder := filepath.Join(t.TempDir(), "packed")
		var got string
		var err error
		limitFiles(t, limit, func() { got, err = withCache(t, folder, level, 1, 0) })
		if got != want || err == nil || !strings.Contains(err.Error(), "write packed weights") {
			t.Errorf("files of at most %d bytes: got error %v and\n%swant one about writing and\n%s", limit, err, got, want)
		}
		if files, _ := filepath.Glob(filepath.Join(folder, "*")); len(files) > 0 {
			t.Errorf("files of at most %d bytes: got files %v, want none", limit, files)
		}
	}
}

// TestCacheUnfinished: a backend that is closed before SaveCache leaves no file.
func TestCacheUnfinished(t *testing.T) {
	level := cpu.Levels()[len(cpu.Levels())-1]
	_, _, want := cacheFolder(t, level)
	folder := filepath.Join(t.TempDir(), "packed")
	b, err := cpu.New(cpu.Options{Threads: 2, Level: level, CacheFolder: folder, Model: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	if got := cacheModel(t, b, 0); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(folder, "*")); len(files) > 0 {
		t.Errorf("got files %v, want none", files)
	}
}
