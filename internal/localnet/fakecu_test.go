package localnet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/scheduler"
)

// fakeCU answers with what was asked: the output repeats the data, and a message with the tag Do=M has M's bytes as the rest of its result.
func fakeCU(t *testing.T, su string) http.Handler {
	client, err := scheduler.New(su)
	if err != nil {
		t.Fatal(err)
	}
	echo := func(data string, do string) string {
		quoted, _ := json.Marshal("echo: " + data)
		rest := `"Messages":[],"Spawns":[],"Assignments":[]`
		if do != "" {
			rest = do
		}
		return fmt.Sprintf(`{%s,"Output":{"data":%s},"GasUsed":0}`, rest, quoted)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /result/{message}", func(w http.ResponseWriter, r *http.Request) {
		process, err := ao.ParseID(r.URL.Query().Get("process-id"))
		if err != nil {
			fail(w, 500, err)
			return
		}
		message, err := ao.ParseID(r.PathValue("message"))
		if err != nil {
			fail(w, 500, err)
			return
		}
		assignment, err := client.Message(r.Context(), process, message)
		if err != nil {
			fail(w, 404, err)
			return
		}
		input := assignment.Input()
		fmt.Fprint(w, echo(input.Data.Value, strings.ReplaceAll(input.Tags.Get("Do"), "SELF", process.String())))
	})
	mux.HandleFunc("POST /dry-run", func(w http.ResponseWriter, r *http.Request) {
		var message struct{ Data string }
		json.NewDecoder(r.Body).Decode(&message)
		fmt.Fprint(w, echo(message.Data, ""))
	})
	mux.HandleFunc("GET /results/{process}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"pageInfo":{"hasNextPage":false},"edges":[{"node":%s,"cursor":"c"}]}`, echo("", ""))
	})
	return mux
}

// listen starts a network on free ports, with the fake compute unit.
func listen(t *testing.T, folder string) (*Network, URLs) {
	t.Helper()
	network, err := Open(Options{Folder: folder, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	urls, err := network.Listen("127.0.0.1", Ports{})
	if err != nil {
		t.Fatal(err)
	}
	network.ServeCU(fakeCU(t, urls.SU), urls.CU)
	return network, urls
}
