package main

import "unsafe"

// The border with the host. A zero-terminated string comes in memory that the host asked malloc for.

// pinned keeps the buffers that the host holds pointers to from the garbage collector.
var pinned = map[uintptr][]byte{}

//go:wasmexport malloc
func malloc(size uint32) uintptr {
	buf := make([]byte, max(size, 1))
	ptr := uintptr(unsafe.Pointer(&buf[0]))
	pinned[ptr] = buf
	return ptr
}

//go:wasmexport free
func free(ptr uintptr) { delete(pinned, ptr) }

//go:wasmexport handle
func handle(message, env uintptr) uintptr {
	out := append(teller.handle(cString(message), cString(env)), 0)
	answer = out
	return uintptr(unsafe.Pointer(&out[0]))
}

// answer stays until the next message: the host reads it after handle has returned.
var answer []byte

// teller is the whole state of the process: it lives in the module's memory between messages.
var teller = &storyteller{ask: infer}

func cString(ptr uintptr) []byte {
	buf := pinned[ptr]
	for i, c := range buf {
		if c == 0 {
			return buf[:i]
		}
	}
	return nil
}

//go:wasmimport verbatim infer
func hostInfer(request unsafe.Pointer, size uint32, response, responseSize unsafe.Pointer) uint32

// infer asks the compute unit's model; the host puts the response into memory from malloc.
func infer(request []byte) ([]byte, error) {
	var ptr, size uint32
	errno := hostInfer(unsafe.Pointer(&request[0]), uint32(len(request)), unsafe.Pointer(&ptr), unsafe.Pointer(&size))
	if errno != 0 {
		return nil, inferError(errno)
	}
	response := pinned[uintptr(ptr)][:size]
	free(uintptr(ptr))
	return response, nil
}
