package localnet

import (
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// TestWhoPushes: a process hears from the key that it names as its authority, the scheduler's too, as spawned by clients of mainnet.
func TestWhoPushes(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	spawned := func(name string, authorities ...string) ao.ID {
		tags := ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Process"}, {Name: "Scheduler", Value: network.SUAddress()},
			{Name: "Module", Value: ao.ID{1}.String()}, {Name: "Name", Value: name}}
		for _, authority := range authorities {
			tags = append(tags, ao.Tag{Name: "Authority", Value: authority})
		}
		item, err := dataitem.Sign(network.Developer(), dataitem.Draft{Tags: tags, Data: []byte(" ")})
		if err != nil {
			t.Fatal(err)
		}
		if status, said := request(t, "POST", urls.MU, item.Bytes()); status != 202 {
			t.Fatalf("spawn %s: %d %s", name, status, said)
		}
		return item.ID()
	}
	su, mu := network.SUAddress(), network.MUAddress()
	for _, test := range []struct {
		name        string
		authorities []string
		signer      string
	}{{"mainnet", []string{su}, su}, {"legacy", []string{mu}, mu}, {"both", []string{su, mu}, mu}, {"neither", nil, mu}} {
		sender, target := spawned(test.name+" sender", mu), spawned(test.name, test.authorities...)
		do := `"Messages":[{"Target":"` + target.String() + `","Anchor":"1","Tags":[]}],"Spawns":[],"Assignments":[]`
		if _, err := network.Send(t.Context(), sender, ao.Tags{{Name: "Do", Value: do}}, nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, test.name+": pushed", func() bool { return len(network.plans.slots(target)) == 2 })
		if signed := network.store.get(network.plans.slots(target)[1].message).item.Address(); signed != test.signer {
			t.Errorf("%s: signed by %s, want %s", test.name, signed, test.signer)
		}
	}
}
