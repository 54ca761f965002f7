package ao

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the message as a module's handle function receives it: the keys in the order of the reference compute
// unit's schema, absent ones left out, bytes as JavaScript's JSON.stringify writes them.
func (m Message) AppendJSON(to []byte) []byte {
	object := objectWriter{to: append(to, '{')}
	object.optional("Id", m.ID)
	object.optional("Signature", m.Signature)
	object.optional("Data", m.Data)
	object.text("Owner", m.Owner)
	object.text("Target", m.Target)
	object.optional("Anchor", m.Anchor)
	object.text("From", m.From)
	object.optional("Forwarded-By", m.ForwardedBy)
	object.tags("Tags", m.Tags)
	object.optionalInt("Epoch", m.Epoch)
	object.optionalInt("Nonce", m.Nonce)
	object.optionalInt("Timestamp", Some(m.Timestamp))
	object.optionalInt("Block-Height", Some(m.BlockHeight))
	object.optional("Hash-Chain", m.HashChain)
	object.boolean("Cron", m.Cron)
	object.boolean("Read-Only", m.ReadOnly)
	return append(object.to, '}')
}

// AppendEnv appends the second argument of handle: who the process and its module are.
func AppendEnv(to []byte, process Process, module Module) []byte {
	to = append(to, `{"Process":`...)
	to = appendIdentity(to, process.ID, process.Owner, process.Tags)
	to = append(to, `,"Module":`...)
	to = appendIdentity(to, module.ID, module.Owner, module.Tags)
	return append(to, '}')
}

func appendIdentity(to []byte, id ID, owner string, tags Tags) []byte {
	object := objectWriter{to: append(to, '{')}
	object.text("Id", id.String())
	object.text("Owner", owner)
	object.tags("Tags", tags)
	return append(object.to, '}')
}

// AppendTags appends tags as [{"name":...,"value":...},...].
func AppendTags(to []byte, tags Tags) []byte {
	to = append(to, '[')
	for i, tag := range tags {
		if i > 0 {
			to = append(to, ',')
		}
		to = AppendText(append(to, `{"name":`...), tag.Name)
		to = append(AppendText(append(to, `,"value":`...), tag.Value), '}')
	}
	return append(to, ']')
}

// objectWriter appends the members of one JSON object.
type objectWriter struct {
	to      []byte
	members int
}

func (w *objectWriter) key(name string) {
	if w.members > 0 {
		w.to = append(w.to, ',')
	}
	w.members++
	w.to = append(AppendText(w.to, name), ':')
}

func (w *objectWriter) text(name, value string) {
	w.key(name)
	w.to = AppendText(w.to, value)
}

func (w *objectWriter) optional(name string, value Optional[string]) {
	switch {
	case !value.Present:
	case value.Null:
		w.key(name)
		w.to = append(w.to, "null"...)
	default:
		w.text(name, value.Value)
	}
}

func (w *objectWriter) optionalInt(name string, value Optional[int64]) {
	switch {
	case !value.Present:
	case value.Null:
		w.key(name)
		w.to = append(w.to, "null"...)
	default:
		w.key(name)
		w.to = strconv.AppendInt(w.to, value.Value, 10)
	}
}

func (w *objectWriter) boolean(name string, value bool) {
	w.key(name)
	w.to = strconv.AppendBool(w.to, value)
}

func (w *objectWriter) tags(name string, value Tags) {
	w.key(name)
	w.to = AppendTags(w.to, value)
}

// AppendText appends text quoted as JSON.stringify does: only quote, backslash and control characters are escaped, and the
// latter in their short form where there is one. Bytes that are not UTF-8 become U+FFFD as in ValidText.
func AppendText(to []byte, text string) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for i := 0; i < len(text); {
		char := text[i]
		if char >= utf8.RuneSelf {
			size, valid := runeBytes(text[i:])
			if valid {
				to = append(to, text[i:i+size]...)
			} else {
				to = append(to, "\uFFFD"...)
			}
			i += size
			continue
		}
		switch char {
		case '"', '\\':
			to = append(to, '\\', char)
		case '\b':
			to = append(to, `\b`...)
		case '\f':
			to = append(to, `\f`...)
		case '\n':
			to = append(to, `\n`...)
		case '\r':
			to = append(to, `\r`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			if char < 0x20 {
				to = append(to, '\\', 'u', '0', '0', hex[char>>4], hex[char&15])
			} else {
				to = append(to, char)
			}
		}
		i++
	}
	return append(to, '"')
}

// ValidText gives data as text, with U+FFFD for each maximal part of an ill-formed sequence (the practice that Unicode
// recommends, and what Rust's from_utf8_lossy and JavaScript's TextDecoder do). Schedulers show message data this way.
func ValidText(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	text, clean := string(data), make([]byte, 0, len(data)+16)
	for i := 0; i < len(text); {
		size, valid := runeBytes(text[i:])
		if valid {
			clean = append(clean, text[i:i+size]...)
		} else {
			clean = append(clean, "\uFFFD"...)
		}
		i += size
	}
	return string(clean)
}

// runeBytes gives the size of the first character of text, or of the maximal ill-formed part that one U+FFFD replaces.
func runeBytes(text string) (size int, valid bool) {
	if r, size := utf8.DecodeRuneInString(text); r != utf8.RuneError || size > 1 {
		return size, true
	}
	// The second byte's range depends on the first (Unicode 15, table 3-7); all later ones are 80..BF.
	low, high, want := byte(0x80), byte(0xBF), 0
	switch first := text[0]; {
	case first >= 0xC2 && first <= 0xDF:
		want = 1
	case first >= 0xE0 && first <= 0xEF:
		want = 2
		if first == 0xE0 {
			low = 0xA0
		}
		if first == 0xED {
			high = 0x9F
		}
	case first >= 0xF0 && first <= 0xF4:
		want = 3
		if first == 0xF0 {
			low = 0x90
		}
		if first == 0xF4 {
			high = 0x8F
		}
	}
	size = 1
	for size <= want && size < len(text) && text[size] >= low && text[size] <= high {
		size++
		low, high = 0x80, 0xBF
	}
	return size, false
}
