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

// defaultModel reads the process's tag from the environment, so that a replay, which has only that, reads the same.
func defaultModel(env []byte) string {
	var parsed struct {
		Process struct{ Tags ao.Tags }
	}
	if err := json.Unmarshal(env, &parsed); err != nil {
		return ModelEmbedded
	}
	if model := parsed.Process.Tags.Get(ModelTag); model != "" {
		return model
	}
	return ModelEmbedded
}
