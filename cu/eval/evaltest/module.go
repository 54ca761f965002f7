// Package evaltest holds what tests of evaluation share: a small module that does on command what processes do, and a
// provider that answers without a model.
//
// The module is assembled here, instruction by instruction, so that no binary and no compiler is needed. It is plain
// wasm32: memory, malloc and handle. It looks for '@' in its message and does what the character after it says:
//
//	@c   count: the output is how many messages it kept so far, as four digits (also without any '@')
//	@i7  infer: ask the model {"prompt":"question 7"}; the output is the response
//	@j7  infer twice
//	@m   ask for the model "/etc/passwd"
//	@e   count, and answer with a message and an Error
//	@x   count, and answer with ok=false
//	@b   answer with something that is no result
//	@t   trap
//	@l   loop for ever
//	@g   ask for far too much memory, and give up
package evaltest

// Where things lie in the module's memory.
const (
	heapTop     = 8  // i32: what malloc gives next; every message starts afresh
	counter     = 16 // i32
	responsePtr = 24
	responseLen = 28
	texts       = 64
	heapBase    = 4096
	answer      = 1 << 16 // the second page
)

// builder assembles the code of one function.
type builder struct{ code []byte }

func (b *builder) op(bytes ...byte) *builder {
	b.code = append(b.code, bytes...)
	return b
}

func (b *builder) constant(value int32) *builder {
	b.code = signed(append(b.code, 0x41), int64(value))
	return b
}

func (b *builder) get(local byte) *builder { return b.op(0x20, local) }
func (b *builder) set(local byte) *builder { return b.op(0x21, local) }
func (b *builder) load() *builder          { return b.op(0x28, 2, 0) }
func (b *builder) load8() *builder         { return b.op(0x2d, 0, 0) }
func (b *builder) store() *builder         { return b.op(0x36, 2, 0) }
func (b *builder) store8() *builder        { return b.op(0x3a, 0, 0) }
func (b *builder) add() *builder           { return b.op(0x6a) }
func (b *builder) end() *builder           { return b.op(0x0b) }

// when begins a block for one command character, held in the local command.
func (b *builder) when(char byte) *builder {
	return b.get(command).constant(int32(char)).op(0x46, 0x04, 0x40)
}

// answerWith returns the address of a constant text.
func (b *builder) answerWith(at int32) *builder { return b.constant(at).op(0x0f) }

// Locals of handle, after its two arguments.
const (
	message = 0
	command = 2
	count   = 3
	to      = 4
	left    = 5
)

// Functions by index.
const (
	inferFunction  = 0
	copyFunction   = 2
	mallocFunction = 1
	handleFunction = 3
)

// data lays out the constant texts and remembers where they are.
type data struct{ bytes []byte }

func (d *data) add(text string) (at, length int32) {
	at = texts + int32(len(d.bytes))
	d.bytes = append(append(d.bytes, text...), 0)
	return at, int32(len(text))
}

// Module gives the wasm.
func Module() []byte {
	var texts data
	handle := handleCode(&texts)
	i32 := byte(0x7f)
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	wasm = section(wasm, 1, vector(
		[]byte{0x60, 4, i32, i32, i32, i32, 1, i32}, []byte{0x60, 1, i32, 1, i32},
		[]byte{0x60, 3, i32, i32, i32, 1, i32}, []byte{0x60, 2, i32, i32, 1, i32},
	))
	wasm = section(wasm, 2, vector(append(append(name("verbatim"), name("infer")...), 0x00, 0)))
	wasm = section(wasm, 3, vector([]byte{1}, []byte{2}, []byte{3}))
	wasm = section(wasm, 5, vector([]byte{0x00, 2}))
	wasm = section(wasm, 7, vector(
		append(name("memory"), 0x02, 0), append(name("malloc"), 0x00, mallocFunction), append(name("handle"), 0x00, handleFunction),
	))
	wasm = section(wasm, 10, vector(function(0, mallocCode()), function(0, copyCode()), function(4, handle)))
	return section(wasm, 11, vector(
		segment(heapTop, []byte{heapBase & 0xff, heapBase >> 8}), segment(64, texts.bytes),
	))
}

// mallocCode: (bytes) -> address. Nothing is ever freed within a message.
func mallocCode() []byte {
	var b builder
	b.constant(heapTop).load()
	b.constant(heapTop).constant(heapTop).load().get(0).add().constant(8).add().store()
	return b.end().code
}

// copyCode: (to, from, bytes) -> to + bytes
func copyCode() []byte {
	var b builder
	b.op(0x03, 0x40)                   // loop
	b.get(2).op(0x45, 0x04, 0x40)      // if no byte is left
	b.get(0).op(0x0f).end()            //   return to
	b.get(0).get(1).load8().store8()   // copy one
	b.get(0).constant(1).add().set(0)  //
	b.get(1).constant(1).add().set(1)  //
	b.get(2).constant(-1).add().set(2) //
	b.op(0x0c, 0).end()                // again
	return b.op(0x00).end().code       // never reached
}

func handleCode(texts *data) []byte {
	question, questionLen := texts.add(`{"prompt":"question 0"}`)
	digit := question + questionLen - 3
	passwd, passwdLen := texts.add(`{"prompt":"x","model":"/etc/passwd"}`)
	nonsense, _ := texts.add(`nonsense`)
	failed, _ := texts.add(`{"ok":true,"response":{"Messages":[{"Target":"someone"}],"Error":"as asked"}}`)
	notOK, _ := texts.add(`{"ok":false,"response":"not ok"}`)
	open, openLen := texts.add(`{"ok":true,"response":{"Output":`)
	shut, shutLen := texts.add(`}}`)

	b := new(builder)
	b.findCommand()
	b.constant(heapTop).constant(heapBase).store()
	b.constant(counter).load().constant(1).add().set(count)
	b.constant(counter).get(count).store()
	b.when('t').op(0x00).end()
	b.when('l').op(0x03, 0x40, 0x0c, 0, 0x0b).end()
	b.when('b').answerWith(nonsense).end()
	b.when('e').answerWith(failed).end()
	b.when('x').answerWith(notOK).end()
	b.when('g').constant(60_000).op(0x40, 0).constant(-1).op(0x46, 0x04, 0x40, 0x00, 0x0b).end()
	b.constant(answer).constant(open).constant(openLen).op(0x10, copyFunction).set(to)
	b.constant(digit).get(message).constant(2).add().load8().store8()
	b.when('j').ask(question, questionLen).end()
	b.when('j').constant('i').set(command).end()
	b.when('i').ask(question, questionLen).takeResponse(shut, shutLen).end()
	b.when('m').ask(passwd, passwdLen).takeResponse(shut, shutLen).end()
	b.get(to).constant('"').store8()
	for i, unit := range []int32{1000, 100, 10, 1} {
		b.get(to).constant(int32(i) + 1).add()
		b.get(count).constant(unit).op(0x6e).constant(10).op(0x70).constant('0').add().store8() // count / unit % 10
	}
	b.get(to).constant(5).add().constant('"').store8()
	b.get(to).constant(6).add().constant(shut).constant(shutLen+1).op(0x10, copyFunction, 0x1a)
	return b.constant(answer).end().code
}

// findCommand leaves the address of '@' in the local message, and the character after it in command; 'c' if there is none.
func (b *builder) findCommand() {
	b.op(0x03, 0x40) // loop
	b.get(message).load8().set(command)
	b.get(command).op(0x45, 0x04, 0x40).constant('c').set(command).op(0x05) // at the end: count; else
	b.get(command).constant('@').op(0x47, 0x04, 0x40)                       // not yet
	b.get(message).constant(1).add().set(message).op(0x0c, 2)               // on
	b.end().get(message).constant(1).add().load8().set(command)
	b.end().end()
}

// ask calls the model, and traps if that gives an error number.
func (b *builder) ask(request, requestLen int32) *builder {
	b.constant(request).constant(requestLen).constant(responsePtr).constant(responseLen).op(0x10, inferFunction)
	return b.op(0x04, 0x40, 0x00, 0x0b)
}

// takeResponse returns an answer whose output is the response.
func (b *builder) takeResponse(shut, shutLen int32) *builder {
	b.get(to).constant(responsePtr).load().constant(responseLen).load().op(0x10, copyFunction).set(to)
	b.get(to).constant(shut).constant(shutLen+1).op(0x10, copyFunction, 0x1a)
	return b.answerWith(answer)
}

func unsigned(to []byte, value uint64) []byte {
	for ; value >= 0x80; value >>= 7 {
		to = append(to, byte(value)|0x80)
	}
	return append(to, byte(value))
}

func signed(to []byte, value int64) []byte {
	for value < -0x40 || value >= 0x40 {
		to = append(to, byte(value)|0x80)
		value >>= 7
	}
	return append(to, byte(value)&0x7f)
}

func vector(items ...[]byte) []byte {
	encoded := unsigned(nil, uint64(len(items)))
	for _, item := range items {
		encoded = append(encoded, item...)
	}
	return encoded
}

func name(text string) []byte { return append(unsigned(nil, uint64(len(text))), text...) }

func section(to []byte, id byte, content []byte) []byte {
	return append(unsigned(append(to, id), uint64(len(content))), content...)
}

// function gives a body with that many i32 locals.
func function(locals byte, code []byte) []byte {
	body := append([]byte{1, locals, 0x7f}, code...)
	return append(unsigned(nil, uint64(len(body))), body...)
}

func segment(at int32, bytes []byte) []byte {
	encoded := append(signed([]byte{0, 0x41}, int64(at)), 0x0b)
	return append(unsigned(encoded, uint64(len(bytes))), bytes...)
}
