package tokenizer

import "unicode/utf8"

// Piece is the bytes that a token stands for: a control token's are its text.
// It is nil for a token outside the vocabulary. Do not change it.
func (t *Tokenizer) Piece(token Token) []byte {
	if !t.Contains(token) {
		return nil
	}
	return t.pieces[token]
}

// PlainText is the bytes that a token adds anywhere in a text, whatever comes
// before or after. It is nil for tokens that are not only that: control, unknown
// and user-defined ones. Do not change it.
func (t *Tokenizer) PlainText(token Token) []byte {
	if !t.Contains(token) {
		return nil
	}
	switch t.kind(token) {
	case Control, Unknown, UserDefined:
		return nil
	}
	return t.pieces[token]
}

// Decode gives the text of tokens, byte for byte. Control and unknown tokens
// leave no trace. Where Encode adds a space (at the start and after special
// tokens, see AddSpacePrefix), Decode removes one.
func (t *Tokenizer) Decode(tokens []Token) string {
	d := t.NewDecoder(nil)
	var text []byte
	for _, token := range tokens {
		text = d.appendPiece(text, token)
	}
	return string(text)
}

// Decoder decodes a stream of tokens. It is for one stream and one goroutine.
type Decoder struct {
	tokenizer *Tokenizer
	dropSpace bool   // the next piece's leading space was added by Encode
	held      []byte // the start of a UTF-8 sequence
}

// NewDecoder starts decoding tokens that follow prompt: after a prompt that ends
// in plain text, a leading space belongs to the text.
func (t *Tokenizer) NewDecoder(prompt []Token) *Decoder {
	d := &Decoder{tokenizer: t, dropSpace: t.addSpace}
	var ignored []byte
	for _, token := range prompt {
		ignored = d.appendPiece(ignored[:0], token)
	}
	return d
}

// appendPiece appends the text of a token.
func (d *Decoder) appendPiece(text []byte, token Token) []byte {
	t := d.tokenizer
	if !t.Contains(token) {
		return text
	}
	switch t.kind(token) {
	case Control:
		d.dropSpace = t.addSpace
		return text
	case Unknown:
		d.dropSpace = false
		return text
	case UserDefined:
		d.dropSpace = t.addSpace
		return append(text, t.pieces[token]...)
	}
	piece := t.pieces[token]
	if d.dropSpace && len(piece) > 0 && piece[0] == ' ' {
		piece = piece[1:]
	}
	d.dropSpace = false
	return append(text, piece...)
}

// Write takes a token and returns the text that is now complete. A UTF-8
// sequence that has begun and may still be completed is held back, so no
// character is ever split; bytes that can be no part of UTF-8 pass as they are.
func (d *Decoder) Write(token Token) string {
	d.held = d.appendPiece(d.held, token)
	whole := len(d.held)
	for back := 1; back < utf8.UTFMax && back <= len(d.held); back++ {
		start := len(d.held) - back
		if utf8.RuneStart(d.held[start]) {
			if !utf8.FullRune(d.held[start:]) {
				whole = start
			}
			break
		}
	}
	text := string(d.held[:whole])
	d.held = append(d.held[:0], d.held[whole:]...)
	return text
}

// Flush returns the bytes held back, at the end of the stream.
func (d *Decoder) Flush() string {
	text := string(d.held)
	d.held = d.held[:0]
	return text
}
