package eval

import (
	"encoding/json"

	"verbatim/cu/ao"
)

// ModelTag is the process tag that names the model that answers requests which name none.
const ModelTag = "Inference-Model"

// NewStep gives the step of one message on a process. Module is that of the process; moduleMeta is what its tags say.
func NewStep(module *Module, moduleMeta ao.Module, process ao.Process, memory *Image, message ao.Message, limits Limits) Step {
	return Step{
		Module: module, Memory: memory, Limits: limits,
		Message: message.AppendJSON(nil), Env: ao.AppendEnv(nil, process, moduleMeta),
	}
}

// Env is what this repository reads of the second argument of handle. A replay, which has only that, knows the same.
type Env struct {
	Process, Module struct {
		ID    string `json:"Id"`
		Owner string
		Tags  ao.Tags
	}
}

// ParseEnv reads an environment.
func ParseEnv(text []byte) (*Env, error) {
	env := new(Env)
	err := json.Unmarshal(text, env)
	return env, err
}

// Message is what this repository reads of the first argument of handle, when that is all it has of a message.
type Message struct {
	ID          string      `json:"Id"`
	Nonce       json.Number // "": nobody assigned it
	Timestamp   int64       // milliseconds since 1970
	BlockHeight int64       `json:"Block-Height"`
	HashChain   string      `json:"Hash-Chain"`
}

// ParseMessage reads a message.
func ParseMessage(text []byte) (Message, error) {
	var message Message
	err := json.Unmarshal(text, &message)
	return message, err
}

// model gives the model that answers requests which name none.
func (e *Env) model() string {
	if model := e.Process.Tags.Get(ModelTag); model != "" {
		return model
	}
	return ModelEmbedded
}
