package wasmhost

import "encoding/binary"

// Preview 1 of WASI as a plain module sees it: no arguments, no environment, no folders, output that is dropped, a clock
// that counts how often it was read, and random bytes that follow from the message. Whatever else the interface has
// answers "not supported", so that programs that merely link it run.

// addWASI adds the functions of wasi_snapshot_preview1.
func addWASI(table hostTable) {
	add := func(name, params string, run hostFunc) {
		results := "i"
		if name == "proc_exit" {
			results = ""
		}
		table.add(moduleWASI+"."+name, params, results, run)
	}
	add("args_get", "ii", fixed(0))
	add("args_sizes_get", "ii", zeroSizes)
	add("environ_get", "ii", fixed(0))
	add("environ_sizes_get", "ii", zeroSizes)
	add("clock_res_get", "ii", clockResolution)
	add("clock_time_get", "iji", clockTime)
	add("random_get", "ii", randomGet)
	add("sched_yield", "", fixed(0))
	add("proc_exit", "i", exit)
	add("poll_oneoff", "iiii", pollOneoff)
	add("fd_close", "i", fdClose)
	add("fd_read", "iiii", fdRead)
	add("fd_write", "iiii", fdWrite)
	add("fd_seek", "ijii", func(e *evaluation, s []uint64) { fdSeek(e, s, int64(s[1]), arg(s, 2), arg(s, 3)) })
	add("fd_fdstat_get", "ii", fdStat)
	add("fd_fdstat_set_flags", "ii", fdKnown)
	add("fd_prestat_get", "ii", fixed(errBadFile)) // the first answer of this kind ends the list of folders
	add("fd_prestat_dir_name", "iii", fixed(errBadFile))
	for _, f := range [][2]string{
		{"fd_advise", "ijji"}, {"fd_allocate", "ijj"}, {"fd_datasync", "i"}, {"fd_fdstat_set_rights", "ijj"},
		{"fd_filestat_get", "ii"}, {"fd_filestat_set_size", "ij"}, {"fd_filestat_set_times", "ijji"},
		{"fd_pread", "iiiji"}, {"fd_pwrite", "iiiji"}, {"fd_readdir", "iiiji"}, {"fd_renumber", "ii"}, {"fd_sync", "i"},
		{"fd_tell", "ii"}, {"path_create_directory", "iii"}, {"path_filestat_get", "iiiii"},
		{"path_filestat_set_times", "iiiijji"}, {"path_link", "iiiiiii"}, {"path_open", "iiiiijjii"},
		{"path_readlink", "iiiiii"}, {"path_remove_directory", "iii"}, {"path_rename", "iiiiii"},
		{"path_symlink", "iiiii"}, {"path_unlink_file", "iii"}, {"proc_raise", "i"}, {"sock_accept", "iii"},
		{"sock_recv", "iiiiii"}, {"sock_send", "iiiii"}, {"sock_shutdown", "ii"},
	} {
		add(f[0], f[1], fixed(errNoSystem))
	}
}

const nanosecondsPerMillisecond = 1_000_000

func clockResolution(e *evaluation, stack []uint64) {
	e.putU64(arg(stack, 1), nanosecondsPerMillisecond)
	answer(stack, 0)
}

// clockTime answers all clocks, wall and monotonic, from the one counter.
func clockTime(e *evaluation, stack []uint64) {
	e.putU64(arg(stack, 2), e.clock.read()*nanosecondsPerMillisecond)
	answer(stack, 0)
}

func randomGet(e *evaluation, stack []uint64) {
	buf := e.bytes(arg(stack, 0), arg(stack, 1))
	e.charge(uint64(len(buf)))
	e.random.fill(buf)
	answer(stack, 0)
}

func fdKnown(e *evaluation, stack []uint64) {
	if e.files.open[arg(stack, 0)] == nil {
		answer(stack, errBadFile)
		return
	}
	answer(stack, 0)
}

// fdStat describes the standard streams as character devices.
func fdStat(e *evaluation, stack []uint64) {
	if e.files.open[arg(stack, 0)] == nil {
		answer(stack, errBadFile)
		return
	}
	const characterDevice, rightsRead, rightsWrite = 2, 1 << 1, 1 << 6
	out := e.bytes(arg(stack, 1), 24)
	clear(out)
	out[0] = characterDevice
	rights := uint64(rightsWrite)
	if arg(stack, 0) == 0 {
		rights = rightsRead
	}
	binary.LittleEndian.PutUint64(out[8:], rights)
	answer(stack, 0)
}

// pollOneoff never waits: the clock jumps to the earliest deadline asked for, and files are not ready, ever.
//
//	subscription, 48 bytes: 0 user data u64, 8 kind u8 (0 clock, 1 read, 2 write), 24 timeout u64, 40 flags u16 (1: absolute)
//	event, 32 bytes:        0 user data u64, 8 error u16, 10 kind u8
func pollOneoff(e *evaluation, stack []uint64) {
	const subscriptionBytes, eventBytes, countMax = 48, 32, 1024
	in, out, n := arg(stack, 0), arg(stack, 1), arg(stack, 2)
	if n == 0 || n > countMax {
		answer(stack, errInvalid)
		return
	}
	e.charge(uint64(n))
	events := uint32(0)
	emit := func(subscription []byte, errno uint16) {
		event := e.bytes(out+events*eventBytes, eventBytes)
		data, kind := [8]byte(subscription), subscription[8]
		clear(event)
		copy(event, data[:])
		binary.LittleEndian.PutUint16(event[8:], errno)
		event[10] = kind
		events++
	}
	var earliest []byte
	var deadline uint64
	for i := range n {
		s := e.bytes(in+i*subscriptionBytes, subscriptionBytes)
		if s[8] != 0 {
			emit(s, errBadFile)
			continue
		}
		at := binary.LittleEndian.Uint64(s[24:]) / nanosecondsPerMillisecond
		if s[40]&1 == 0 {
			at += e.clock.now
		}
		if earliest == nil || at < deadline {
			earliest, deadline = s, at
		}
	}
	if events == 0 {
		emit(earliest, 0)
		e.clock.now = max(e.clock.now, deadline)
	}
	e.putU32(arg(stack, 3), events)
	answer(stack, 0)
}
