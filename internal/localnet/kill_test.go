package localnet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// TestServe is a network in a program of its own, for TestKill.
func TestServe(t *testing.T) {
	folder := os.Getenv("LOCALNET_SERVE")
	if folder == "" {
		t.Skip("only TestKill runs it")
	}
	_, urls := listen(t, folder)
	text, err := json.Marshal(urls)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", text)
	select {}
}

// serve starts a network in a program of its own.
func serve(t *testing.T, folder string) (*exec.Cmd, URLs) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestServe$")
	cmd.Env = append(os.Environ(), "LOCALNET_SERVE="+folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	var urls URLs
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &urls)
	}
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return cmd, urls
}

// TestKill kills a network again and again while messages come. Whatever was acknowledged is scheduled, in order, and whatever was
// scheduled is pushed, once.
func TestKill(t *testing.T) {
	folder := t.TempDir()
	network, _ := listen(t, folder)
	_, asking := spawn(t, network)
	_, answering := spawn(t, network)
	if err := network.Close(); err != nil {
		t.Fatal(err)
	}
	signer, err := dataitem.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var acknowledged []ao.ID
	number := 0
	for round := range rounds {
		cmd, urls := serve(t, folder)
		kill := func() {
			time.AfterFunc(time.Duration(30+random.IntN(200))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		if round > 0 {
			kill()
		}
		for {
			number++
			do := fmt.Sprintf(`"Messages":[{"Target":%q,"Anchor":"%d","Tags":[]}],"Spawns":[],"Assignments":[]`, answering, number)
			item, err := dataitem.Sign(signer, dataitem.Draft{Target: asking, Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Message"},
				{Name: "Do", Value: do}}, Data: []byte(fmt.Sprint(number))})
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.Post(urls.MU, "application/octet-stream", bytes.NewReader(item.Bytes()))
			if err != nil {
				break // it is dead
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusAccepted {
				t.Fatalf("seed %d, message %d: %d", seed, number, answer.StatusCode)
			}
			if acknowledged = append(acknowledged, item.ID()); len(acknowledged) == 1 {
				kill() // of the first round: something is acknowledged, however slow the machine is
			}
		}
		cmd.Wait()
	}
	network, urls := listen(t, folder)
	eventually(t, "all that was scheduled is pushed", func() bool { return waiting(network) == 0 })
	read := readSchedule(t, urls, asking)[1:]
	at := 0
	for _, assignment := range read {
		if at < len(acknowledged) && assignment.MessageID == acknowledged[at] {
			at++
		}
	}
	if at != len(acknowledged) || len(acknowledged) == 0 {
		t.Errorf("seed %d: of %d acknowledged messages %d are scheduled in order", seed, len(acknowledged), at)
	}
	pushed := readSchedule(t, urls, answering)[1:]
	want := map[string]bool{}
	for _, assignment := range read {
		want[assignment.Message.ID.Value] = true
	}
	for _, assignment := range pushed {
		began := assignment.Message.Tags.Get("Pushed-For")
		if !want[began] {
			t.Errorf("seed %d: pushed twice, or for nothing: %s", seed, began)
		}
		delete(want, began)
	}
	if len(want) > 0 {
		t.Errorf("seed %d: of %d scheduled messages %d were not pushed: %s", seed, len(read), len(want), strings.Join(keys(want), " "))
	}
	t.Logf("%d messages acknowledged, %d scheduled", len(acknowledged), len(read))
}

func keys(set map[string]bool) (all []string) {
	for key := range set {
		all = append(all, key)
	}
	return all
}
