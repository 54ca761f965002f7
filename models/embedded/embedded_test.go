package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// fileBytesMax keeps the repository small.
const fileBytesMax = 4_000_000

func TestDigestIsThatOfTheFile(t *testing.T) {
	sum := sha256.Sum256(GGUF())
	if got := hex.EncodeToString(sum[:]); got != SHA256 {
		t.Errorf("SHA-256 of stories.gguf: got %s, want %s (the constant SHA256)", got, SHA256)
	}
}

func TestFileIsSmallGGUF(t *testing.T) {
	data := GGUF()
	if len(data) > fileBytesMax {
		t.Errorf("stories.gguf: got %d bytes, want at most %d", len(data), fileBytesMax)
	}
	if got := string(data[:4]); got != "GGUF" {
		t.Errorf("first bytes of stories.gguf: got %q, want %q", got, "GGUF")
	}
}

func TestCallersDoNotShareBytes(t *testing.T) {
	GGUF()[0] = 'x'
	if got := GGUF()[0]; got != 'G' {
		t.Errorf("first byte after another caller wrote to its copy: got %q, want 'G'", got)
	}
}

// The golden tokens are worth nothing if they were made with another file.
func TestGoldenIsOfThisModel(t *testing.T) {
	data, err := os.ReadFile("testdata/golden_once.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Digest string `json:"model_sha256"`
		Cases  []struct {
			Tokens []int `json:"tokens"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if golden.Digest != SHA256 {
		t.Errorf("model of testdata/golden_once.json: got %s, want %s", golden.Digest, SHA256)
	}
	if len(golden.Cases) == 0 {
		t.Error("testdata/golden_once.json has no cases")
	}
}
