package wasmhost

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Error numbers of verbatim.infer.
const (
	inferOK           = 0
	inferBadPointer   = 1 // a pointer or length leaves the memory
	inferLongRequest  = 2 // longer than InferRequestBytesMax
	inferLongResponse = 3 // longer than InferResponseBytesMax
	inferNoMemory     = 4 // malloc returned 0
)

// ask passes a request on. An error of the inferencer ends the evaluation without a result.
func (e *evaluation) ask(request []byte) []byte {
	e.charge(inferGas)
	e.chargeBytes(uint64(len(request)))
	if e.inferencer == nil {
		panic(&failure{ErrNoInferencer})
	}
	response, err := e.inferencer.Infer(e.ctx, request)
	if err != nil {
		panic(&failure{fmt.Errorf("infer: %w", err)})
	}
	return response
}

// inferImport is verbatim.infer(request_ptr, request_len, response_ptr_out, response_len_out) -> errno.
func inferImport(e *evaluation, stack []uint64) {
	answer(stack, e.infer(arg(stack, 0), arg(stack, 1), arg(stack, 2), arg(stack, 3)))
}

func (e *evaluation) infer(request, n, pointerOut, lengthOut uint32) int32 {
	if n > InferRequestBytesMax {
		return inferLongRequest
	}
	raw, ok := e.memory.Read(request, n)
	if !ok || !e.writable(pointerOut) || !e.writable(lengthOut) {
		return inferBadPointer
	}
	response := e.ask(bytes.Clone(raw))
	if len(response) > InferResponseBytesMax {
		return inferLongResponse
	}
	e.chargeBytes(uint64(len(response)))
	ptr := e.callPointer("malloc", uint64(len(response)+1))
	if ptr == 0 {
		return inferNoMemory
	}
	b := e.bytes(ptr, uint32(len(response)+1))
	copy(b, response)
	b[len(response)] = 0
	e.putU32(pointerOut, ptr)
	e.putU32(lengthOut, uint32(len(response)))
	return inferOK
}

func (e *evaluation) writable(ptr uint32) bool {
	_, ok := e.memory.Read(ptr, 4)
	return ok
}

// openInference answers /infer/{...} with the response JSON, and /infer/text with the text of the response.
// A prompt that cannot be answered does not open; a JSON request always does, and reads why.
func (e *evaluation) openInference(request []byte) int32 {
	asJSON := request[0] == '{'
	if !asJSON {
		request = promptRequest(request)
	}
	if len(request) > InferRequestBytesMax {
		return 0
	}
	response := e.ask(request)
	if len(response) > InferResponseBytesMax {
		return 0
	}
	if !asJSON {
		var answered struct {
			Text  string          `json:"text"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(response, &answered); err != nil || answered.Error != nil {
			return 0
		}
		response = []byte(answered.Text)
	}
	e.chargeBytes(uint64(len(response)))
	return int32(e.files.add(section(response)))
}

// promptRequest is the request that a bare prompt stands for.
func promptRequest(prompt []byte) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]string{"prompt": string(prompt)}); err != nil {
		panic(fmt.Sprintf("wasmhost: internal error: a string is not JSON: %v", err))
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}
