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
	if r.Cron != "" {
		if err := cronInput(entry); err != nil {
			return err
		}
	} else if err := messageInput(entry); err != nil {
		return err
	}
	for _, pair := range [...]struct{ what, input, receipt string }{
		{WhatEnv, "process " + env.Process.Id, "process " + r.Process.String()},
		{WhatEnv, "module " + env.Module.Id, "module " + r.Module.String()},
	} {
		if pair.input != pair.receipt {
			return diverged(r, pair.what, pair.receipt, pair.input)
		}
	}
	return nil
}

// messageInput checks that a message is the one that was assigned.
func messageInput(entry *receipt.Entry) error {
	r := entry.Receipt
	var message struct {
		Id    string
		Nonce json.Number
	}
	if err := json.Unmarshal(entry.Message, &message); err != nil {
		return diverged(r, WhatMessage, err.Error(), "JSON")
	}
	if id := r.Message.String(); message.Id != id {
		return diverged(r, WhatMessage, "id "+id, "id "+message.Id)
	}
	nonce := strconv.FormatInt(r.Nonce, 10)
	if r.Nonce == receipt.BootNonce {
		nonce = "" // nobody assigned it
	}
	if message.Nonce.String() != nonce {
		return diverged(r, WhatMessage, "nonce "+nonce, "nonce "+message.Nonce.String())
	}
	return nil
}
