package inference

// SetLogitsRows makes an engine compute the logits of so few rows at once as if its vocabulary were huge.
func SetLogitsRows(e *Engine, rows int) { e.logitsRows = rows }
