package localnet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAoconnect runs the unmodified client of the public network against ours, with a compute unit that only echoes.
// AOCONNECT names a folder with @permaweb/aoconnect in node_modules.
func TestAoconnect(t *testing.T) {
	folder := os.Getenv("AOCONNECT")
	if folder == "" {
		t.Skip("AOCONNECT is not set: it names a folder with @permaweb/aoconnect in node_modules")
	}
	network, urls := listen(t, t.TempDir())
	module, err := network.PublishModule(t.Context(), []byte("\x00asm"), "wasm32-unknown-emscripten4", nil)
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../../e2e/aoconnect/run.mjs")
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command("node", script)
	node.Dir = folder
	node.Env = append(os.Environ(), "GATEWAY_URL="+urls.Gateway, "MU_URL="+urls.MU, "SU_URL="+urls.SU, "CU_URL="+urls.CU,
		"MODULE="+module.String(), "SCHEDULER="+network.SUAddress(), "AUTHORITY="+network.MUAddress())
	var output bytes.Buffer
	node.Stdout, node.Stderr = &output, &output
	if err := node.Run(); err != nil {
		t.Errorf("%v\n%s", err, output.Bytes())
	}
	t.Logf("%s", output.Bytes())
}
