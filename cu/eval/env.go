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

// environment is what an evaluation knows of its process from the second argument of handle: a replay, which has only that,
// knows the same.
type environment struct {
	Process, Module struct{ Tags ao.Tags }
}

// parseEnv reads an environment. One that cannot be read says nothing.
func parseEnv(env []byte) *environment {
	parsed := new(environment)
	if err := json.Unmarshal(env, parsed); err != nil {
		return new(environment)
	}
	return parsed
}

// model gives the model that answers requests which name none.
func (e *environment) model() string {
	if model := e.Process.Tags.Get(ModelTag); model != "" {
		return model
	}
	return ModelEmbedded
}
