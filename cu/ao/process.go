package ao

import "fmt"

// Process is an actor with memory: the data item that spawned it, as its scheduler reports it.
type Process struct {
	ID          ID
	Owner       string // address of the signer: 43 characters base64url, or 0x... for an Ethereum key
	Tags        Tags
	Module      ID
	Scheduler   string // address of the scheduler, from the tag of that name; "" if the tag is absent
	Timestamp   int64  // milliseconds since 1970, by the scheduler's clock
	BlockHeight int64
	Data        Optional[string]
	Anchor      Optional[string]
	Signature   Optional[string] // base64url
	Verified    bool             // the owner signed exactly this, see Assignment.Verified
}

// NewProcess fills in what the tags of a process say and checks that it is one.
func NewProcess(id ID, owner string, tags Tags) (Process, error) {
	if !tags.Has("Data-Protocol", "ao") || !tags.Has("Type", "Process") {
		return Process{}, fmt.Errorf("process %s: its tags lack Data-Protocol=ao or Type=Process", id)
	}
	module, err := ParseID(tags.Get("Module"))
	if err != nil {
		return Process{}, fmt.Errorf("process %s: tag Module: %w", id, err)
	}
	return Process{ID: id, Owner: owner, Tags: tags, Module: module, Scheduler: tags.Get("Scheduler")}, nil
}

// BootMessage is the message that a module receives first when the schedule of a process does not begin with the
// process itself: the process item seen as a message that nobody assigned, without nonce, epoch and hash chain.
func (p Process) BootMessage() Message {
	from, _ := Sender(p.Tags, p.Owner)
	return Message{
		ID: Some(p.ID.String()), Signature: p.Signature, Data: p.Data, Owner: p.Owner, Target: p.ID.String(),
		Anchor: p.Anchor, From: from, Tags: p.Tags.Without("From", "Owner"), Timestamp: p.Timestamp, BlockHeight: p.BlockHeight,
	}
}
