package ao

// Assignment is a scheduler's binding of a message to a nonce of a process.
type Assignment struct {
	ID          ID
	Process     ID
	Epoch       int64
	Nonce       int64
	HashChain   HashChain
	BlockHeight int64
	Timestamp   int64    // milliseconds since 1970, by the scheduler's clock
	Exclude     []string // parts of an assigned item that the process does not get: "Data", "Tags", ...

	// Message is what was assigned. Its scheduling fields are not used; Input fills them from the assignment.
	Message   Message
	MessageID ID

	// Hydrate says that Message is still empty: the assignment names an item that is already on Arweave, which must be
	// fetched by MessageID.
	Hydrate bool

	// Verified says that the message's owner signed exactly what Message holds. If it is false, nobody could tell:
	// schedulers show data that is not text with characters replaced.
	Verified bool
}

// Input gives the message as the process receives it: scheduling fields from the assignment, and without the tags
// From and Owner, which would shadow the fields of these names.
func (a Assignment) Input() Message {
	message := a.Message
	message.Tags = message.Tags.Without("From", "Owner")
	message.Epoch = Some(a.Epoch)
	message.Nonce = Some(a.Nonce)
	message.Timestamp = a.Timestamp
	message.BlockHeight = a.BlockHeight
	message.HashChain = Some(a.HashChain.String())
	return message
}
