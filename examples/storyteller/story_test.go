package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func handleString(s *storyteller, message string) string {
	return string(s.handle([]byte(message), nil))
}

func TestTells(t *testing.T) {
	var asked []string
	s := &storyteller{ask: func(r []byte) ([]byte, error) {
		asked = append(asked, string(r))
		return []byte(`{"text":"A fox found a red kite and flew.","tokens":9,"finish_reason":"stop","receipt":"d1gest"}`), nil
	}}
	got := handleString(s, `{"From":"me","Data":"a fox","Tags":[{"name":"Max-Tokens","value":"7"}]}`)
	want := `{"ok":true,"response":{"Output":{"data":"A fox found a red kite and flew."},"Messages":[{"Target":"me",` +
		`"Anchor":"00000000000000000000000000000001","Data":"A fox found a red kite and flew.","Tags":[` +
		`{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.TN.1"},{"name":"Type","value":"Message"},` +
		`{"name":"Action","value":"Story"},{"name":"Receipt","value":"d1gest"},{"name":"Finish-Reason","value":"stop"},` +
		`{"name":"Story-Number","value":"1"}]}],"Spawns":[],"Assignments":[]}}`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	wantAsked := `{"messages":[{"role":"user","content":"a fox"}],"max_tokens":7,"temperature":0.8,"seed":1}`
	if len(asked) != 1 || asked[0] != wantAsked {
		t.Errorf("\nasked %q\nwant  %q", asked, wantAsked)
	}
	if got := handleString(s, `{"From":"me","Tags":[{"name":"action","value":"Info"}]}`); !strings.Contains(got, `Stories told: 1\n- A fox found a red kite`) {
		t.Errorf("info: %s", got)
	}
}

// Whatever is wrong is said, and nothing is remembered.
func TestErrors(t *testing.T) {
	answer, failed := `{"error":{"code":"prompt_too_long","message":"300 tokens"}}`, error(nil)
	s := &storyteller{ask: func([]byte) ([]byte, error) { return []byte(answer), failed }}
	for _, c := range []struct{ message, want string }{
		{`{"Data":"x"}`, "prompt_too_long: 300 tokens"},
		{`{"Data":"x","Tags":[{"name":"Seed","value":"NaN"}]}`, "Seed is not a number: NaN"},
		{`{"Data":""}`, "send a question"},
		{`{"Data":7}`, "send a question"},
		{`no`, "invalid character"},
	} {
		var out struct {
			OK       bool
			Response struct{ Error string }
		}
		if err := json.Unmarshal(s.handle([]byte(c.message), nil), &out); err != nil || !strings.Contains(out.Response.Error, c.want) {
			t.Errorf("%s: got %+v, %v; want %q", c.message, out, err, c.want)
		}
	}
	answer, failed = "", errors.New("infer: error number 2")
	if got := handleString(s, `{"Data":"x"}`); !strings.Contains(got, "error number 2") {
		t.Errorf("errno: %s", got)
	}
	if s.told != 0 || len(s.titles) != 0 {
		t.Errorf("remembers %d stories, %q", s.told, s.titles)
	}
}
