package ao

// Optional is a JSON value that may be absent, null or a T. The zero Optional is absent. JavaScript tells the three apart
// (undefined, null, value), a module sees the difference, and so the bytes must keep it.
type Optional[T any] struct {
	Value   T
	Present bool // null or a value
	Null    bool
}

// Some gives a present value.
func Some[T any](value T) Optional[T] { return Optional[T]{Value: value, Present: true} }

// NullOf gives a present null.
func NullOf[T any]() Optional[T] { return Optional[T]{Present: true, Null: true} }

// Message is the input of one evaluation: what a module's handle function gets as its first argument.
//
// Identifiers and addresses are texts here, not IDs: a dry run may carry any text in them, and Ethereum addresses are not
// IDs. Assignment.Input gives the message with its scheduling fields filled in.
type Message struct {
	ID          Optional[string]
	Signature   Optional[string] // base64url
	Data        Optional[string]
	Owner       string // address of the signer
	Target      string
	Anchor      Optional[string]
	From        string           // the process that sent it, or Owner
	ForwardedBy Optional[string] // the messenger that signed for From, if From is a process
	Tags        Tags
	Epoch       Optional[int64]
	Nonce       Optional[int64]
	Timestamp   int64 // milliseconds since 1970
	BlockHeight int64
	HashChain   Optional[string]
	Cron        bool
	ReadOnly    bool // true in dry runs
}

// Sender derives From and Forwarded-By from the tags and the signer of a message: a messenger that pushes a process's
// message signs it and names the process in the tag From-Process.
func Sender(tags Tags, owner string) (from string, forwardedBy Optional[string]) {
	if process := tags.Get("From-Process"); process != "" {
		return process, Some(owner)
	}
	return owner, Optional[string]{}
}
