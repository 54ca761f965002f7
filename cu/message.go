package cu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"verbatim/cu/ao"
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
