package replay

import (
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
	env, err := eval.ParseEnv(entry.Env)
	if err != nil {
		return diverged(r, WhatEnv, err.Error(), "JSON")
	}
	message, err := eval.ParseMessage(entry.Message)
	if err != nil {
		return diverged(r, WhatMessage, err.Error(), "JSON")
	}
	if r.Cron != "" {
		if err := cronInput(entry, env, message); err != nil {
			return err
		}
	} else if err := messageInput(r, message); err != nil {
		return err
	}
	for _, pair := range [...]struct{ what, input, receipt string }{
		{WhatEnv, "process " + env.Process.ID, "process " + r.Process.String()},
		{WhatEnv, "module " + env.Module.ID, "module " + r.Module.String()},
	} {
		if pair.input != pair.receipt {
			return diverged(r, pair.what, pair.receipt, pair.input)
		}
	}
	return nil
}

// messageInput checks that a message is the one that was assigned.
func messageInput(r *receipt.Receipt, message eval.Message) error {
	if id := r.Message.String(); message.ID != id {
		return diverged(r, WhatMessage, "id "+id, "id "+message.ID)
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
