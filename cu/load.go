package cu

// Load tells how busy a unit is.
type Load struct {
	Processes   int   // whose memory is at hand
	Evaluating  int   // processes with evaluations to do
	DryRuns     int   // under way
	MemoryBytes int64 // of the memories at hand; beyond Config.MemoryBytesMax idle ones are put away
}

// Load may be called at any time.
func (u *Unit) Load() Load {
	l := Load{DryRuns: u.answers.under()}
	u.mu.Lock()
	defer u.mu.Unlock()
	l.MemoryBytes = u.bytes
	for _, p := range u.processes {
		if p.tip != nil {
			l.Processes++
		}
		if p.flight != nil {
			l.Evaluating++
		}
	}
	return l
}
