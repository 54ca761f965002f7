package ao

import (
	"strings"
	"testing"
)

const (
	processText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	moduleText  = "__________________________________________8"
)

func TestMessageJSON(t *testing.T) {
	for _, test := range []struct {
		name    string
		message Message
		want    string
	}{
		{"scheduled", Message{
			ID: Some("i"), Signature: Some("s"), Data: Some("1 + 1"), Owner: "o", Target: "t", Anchor: NullOf[string](), From: "p",
			ForwardedBy: Some("o"), Tags: Tags{{"Action", "Eval"}, {"Action", ""}}, Epoch: Some(int64(0)), Nonce: Some(int64(7)),
			Timestamp: 1700000000000, BlockHeight: 1400000, HashChain: Some("h"),
		}, `{"Id":"i","Signature":"s","Data":"1 + 1","Owner":"o","Target":"t","Anchor":null,"From":"p","Forwarded-By":"o",` +
			`"Tags":[{"name":"Action","value":"Eval"},{"name":"Action","value":""}],"Epoch":0,"Nonce":7,"Timestamp":1700000000000,` +
			`"Block-Height":1400000,"Hash-Chain":"h","Cron":false,"Read-Only":false}`},
		{"cron: no id, nonce, hash chain", Message{
			Owner: "o", Target: "t", From: "o", Timestamp: 5, BlockHeight: 6, Cron: true,
		}, `{"Owner":"o","Target":"t","From":"o","Tags":[],"Timestamp":5,"Block-Height":6,"Cron":true,"Read-Only":false}`},
		{"dry run", Message{
			ID: Some("1234"), Data: Some(""), Owner: "1234", Target: "t", Anchor: Some("0"), From: "1234", Timestamp: 1, BlockHeight: 2, ReadOnly: true,
		}, `{"Id":"1234","Data":"","Owner":"1234","Target":"t","Anchor":"0","From":"1234","Tags":[],"Timestamp":1,"Block-Height":2,"Cron":false,"Read-Only":true}`},
	} {
		if got := string(test.message.AppendJSON(nil)); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestEnvJSON(t *testing.T) {
	process := Process{ID: MustParseID(processText), Owner: "alice", Tags: Tags{{"Type", "Process"}}}
	module := Module{ID: MustParseID(moduleText), Owner: "bob", Tags: Tags{{"Module-Format", "<&>"}}}
	want := `{"Process":{"Id":"` + processText + `","Owner":"alice","Tags":[{"name":"Type","value":"Process"}]},` +
		`"Module":{"Id":"` + moduleText + `","Owner":"bob","Tags":[{"name":"Module-Format","value":"<&>"}]}}`
	if got := string(AppendEnv(nil, process, module)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// The wanted texts are what Node 20 prints for JSON.stringify(new TextDecoder().decode(input)).
func TestStringJSON(t *testing.T) {
	for input, want := range map[string]string{
		"":                         `""`,
		"\x00\x01\x1f\x7f":         `"\u0000\u0001\u001f` + "\x7f" + `"`,
		"\b\t\n\v\f\r":             `"\b\t\n\u000b\f\r"`,
		`"\/`:                      `"\"\\/"`,
		"<&>'":                     `"<&>'"`,
		"\u2028\u2029":             "\"\u2028\u2029\"",
		"é\u00a0中😀":                "\"é\u00a0中😀\"",
		"\ufeff\ufffd":             "\"\ufeff\ufffd\"",
		"a\xffb":                   "\"a\ufffdb\"",
		"\xe4\xb8":                 "\"\ufffd\"",
		"\xe4\xb8x":                "\"\ufffdx\"",
		"\xf0\x9f\x98z":            "\"\ufffdz\"",
		"\xed\xa0\x80":             "\"\ufffd\ufffd\ufffd\"",
		"\xc0\x80":                 "\"\ufffd\ufffd\"",
		"\xf4\x90\x80\x80":         "\"\ufffd\ufffd\ufffd\ufffd\"",
		"\xe0\x80":                 "\"\ufffd\ufffd\"",
		"\xf0\x9f\xf0\x9f\x98\x80": "\"\ufffd😀\"",
	} {
		if got := string(AppendText(nil, input)); got != want {
			t.Errorf("AppendText(%q) = %s, want %s", input, got, want)
		}
		if got, viaText := string(AppendText(nil, input)), string(AppendText(nil, ValidText([]byte(input)))); got != viaText {
			t.Errorf("ValidText(%q) gives %s, want %s", input, viaText, got)
		}
	}
}

func TestAssignmentInput(t *testing.T) {
	assignment := Assignment{
		Epoch: 0, Nonce: 3, Timestamp: 11, BlockHeight: 12, HashChain: HashChain{1},
		Message: Message{ID: Some("i"), Owner: "o", From: "o", Target: "t", Nonce: Some(int64(99)),
			Tags: Tags{{"From", "forged"}, {"A", "b"}, {"Owner", "forged"}}},
	}
	got := string(assignment.Input().AppendJSON(nil))
	want := `{"Id":"i","Owner":"o","Target":"t","From":"o","Tags":[{"name":"A","value":"b"}],"Epoch":0,"Nonce":3,"Timestamp":11,` +
		`"Block-Height":12,"Hash-Chain":"AQ` + strings.Repeat("A", 41) + `","Cron":false,"Read-Only":false}`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
