package localnet

import (
	"fmt"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// TestMURefuses: what cannot be done is refused with a reason, at once.
func TestMURefuses(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, process := spawn(t, network)
	message, err := network.Send(t.Context(), process, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	half := `{"error":"You must set both process-id and assign to send an assignment, not just one"}`
	absent := fmt.Sprintf(`{"error":"item %s: not found"}`, ao.ID{1})
	for _, test := range []struct{ path, want string }{
		{"/?assign=" + message.String(), half},
		{"/?process-id=" + process.String(), half},
		{"/?process-id=" + process.String() + "&assign=" + ao.ID{1}.String(), absent},
		{"/?process-id=" + process.String() + "&assign=" + message.String(), fmt.Sprintf(`{"error":"message %s is already scheduled on this process"}`, message)},
		{"/?process-id=" + ao.ID{1}.String() + "&assign=" + message.String(), fmt.Sprintf(`{"error":"process %s is not found"}`, ao.ID{1})},
		{"/push/" + ao.ID{1}.String() + "/0?process-id=" + process.String(), fmt.Sprintf(`{"error":"message %s on process %s: not found"}`, ao.ID{1}, process)},
	} {
		if status, said := request(t, "POST", urls.MU+test.path, nil); status != 400 || said != test.want+"\n" {
			t.Errorf("%s: %d\n got %s\nwant %s", test.path, status, said, test.want)
		}
	}
	if status, _ := request(t, "POST", urls.MU+"/push/"+message.String()+"/first?process-id="+process.String(), nil); status != 400 {
		t.Errorf("a message that is not a number: %d", status)
	}
}

// TestPushesOne: of a result that nobody has pushed, one message can be pushed.
func TestPushesOne(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, process := spawn(t, network)
	_, told := spawn(t, network)
	do := fmt.Sprintf(`"Messages":[{"Target":%[1]q,"Anchor":"0","Tags":[],"Data":"zero"},{"Target":%[1]q,"Anchor":"1","Tags":[],"Data":"one"}],"Spawns":[],"Assignments":[]`, told)
	item, err := dataitem.Sign(network.Developer(), dataitem.Draft{Target: process, Data: []byte(" "), Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"},
		{Name: "Type", Value: "Message"}, {Name: "Do", Value: do}}})
	if err != nil {
		t.Fatal(err)
	}
	if status, said := request(t, "POST", urls.SU, item.Bytes()); status != 200 {
		t.Fatalf("%d %s", status, said)
	}
	for _, number := range []string{"1", "2"} { // there is none with the second number
		if status, said := request(t, "POST", urls.MU+"/push/"+item.ID().String()+"/"+number+"?process-id="+process.String(), nil); status != 202 {
			t.Errorf("%d %s", status, said)
		}
	}
	eventually(t, "both pushes are done", func() bool { return waiting(network) == 0 })
	read := readSchedule(t, urls, told)
	if len(read) != 2 || read[1].Message.Data.Value != "one" || read[1].Message.Tags.Get("Pushed-For") != item.ID().String() {
		t.Errorf("%+v", read)
	}
}
