package replay

import (
	"encoding/json"
	"strconv"

	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// inputs checks that the inputs of a step are those of the process, message, nonce and module that the receipt names.
func inputs(entry *receipt.Entry, module *eval.Module) error {
	r := entry.Receipt
	if got := receipt.Digest(module.Digest); got != r.ModuleDigest {
		return diverged(r, WhatModule, r.ModuleDigest.String(), got.String())
	}
	var env struct {
		Process, Module struct{ Id string }
	}
	if err := json.Unmarshal(entry.Env, &env); err != nil {
		return diverged(r, WhatEnv, err.Error(), "JSON")
	}
	var message struct {
		Id    string
		Nonce json.Number
	}
	if err := json.Unmarshal(entry.Message, &message); err != nil {
		return diverged(r, WhatMessage, err.Error(), "JSON")
	}
	nonce := strconv.FormatInt(max(r.Nonce, 0), 10) // at BootNonce the message says 0
	for _, pair := range [...]struct{ what, input, receipt string }{
		{WhatEnv, "process " + env.Process.Id, "process " + r.Process.String()},
		{WhatEnv, "module " + env.Module.Id, "module " + r.Module.String()},
		{WhatMessage, "id " + message.Id, "id " + r.Message.String()},
		{WhatMessage, "nonce " + message.Nonce.String(), "nonce " + nonce},
	} {
		if pair.input != pair.receipt {
			return diverged(r, pair.what, pair.receipt, pair.input)
		}
	}
	return nil
}
