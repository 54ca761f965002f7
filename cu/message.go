package cu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// input gives the message of an assignment as the process receives it, and makes sure as far as anyone can that it is what
// its owner signed.
func (u *Unit) input(ctx context.Context, assignment ao.Assignment) (ao.Message, error) {
	if assignment.Hydrate {
		message, err := u.config.Archive.Message(ctx, assignment)
		if err != nil {
			return message, fmt.Errorf("fetch message %s of process %s: %w", assignment.MessageID, assignment.Process, upstream(err))
		}
		assignment.Message = message
		return assignment.Input(), nil
	}
	if assignment.Verified {
		return assignment.Input(), nil
	}
	// The scheduler shows data or an anchor that is not text with characters replaced, and a signature says nothing about
	// that. The item itself, which only the archive has, says whether the rest is right.
	whole := assignment
	whole.Exclude = nil
	signed, err := u.config.Archive.Message(ctx, whole)
	switch {
	case errors.Is(err, ErrNotFound):
		// Archives learn of items later than schedulers do, and a process must not stand still until then.
		u.config.Logger.Warn("message not verified: the archive does not have it", "process", assignment.Process, "message", assignment.MessageID)
	case err != nil:
		return ao.Message{}, fmt.Errorf("verify message %s of process %s: %w", assignment.MessageID, assignment.Process, upstream(err))
	default:
		shown := assignment.Message
		if shown.Owner != signed.Owner || !slices.Equal(shown.Tags, signed.Tags) || (!shown.Data.Null && shown.Data != signed.Data) {
			return ao.Message{}, fmt.Errorf("%w: the scheduler of process %s shows message %s otherwise than its owner signed it",
				ErrUpstream, assignment.Process, assignment.MessageID)
		}
	}
	return assignment.Input(), nil
}

// content gives what a message is known by if it comes again, and whether it has to be looked for: schedulers see to it that
// no id comes twice, but for items that were on the network before, and for messages that two messengers have signed.
func content(assignment ao.Assignment, input ao.Message) (known receipt.Content, again bool, err error) {
	known, forwarded, err := receipt.ContentOf(input.AppendJSON(nil))
	if err != nil {
		return known, false, fmt.Errorf("cu: internal error: message %s: %w", assignment.MessageID, err)
	}
	return known, forwarded || assignment.Hydrate, nil
}
