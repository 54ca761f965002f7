package inference

import (
	"bytes"
	"strings"

	"verbatim/models/tokenizer"
)

// stream turns output tokens into text, finds stop strings, also those that straddle tokens, and releases only text that
// is certain to be part of the answer: whole characters that no stop string can still swallow.
type stream struct {
	decoder  *tokenizer.Decoder
	stops    []string
	text     []byte // so far, cut at a stop string
	released int    // bytes of text that were handed out
}

func newStream(t *tokenizer.Tokenizer, prompt []tokenizer.Token, stops []string) *stream {
	return &stream{decoder: t.NewDecoder(prompt), stops: stops}
}

// write takes a token and says whether the text has reached a stop string, which then is cut off.
func (s *stream) write(token tokenizer.Token) (stopped bool) {
	searched := len(s.text)
	s.text = append(s.text, s.decoder.Write(token)...)
	cut := len(s.text)
	for _, stop := range s.stops {
		from := max(0, searched-len(stop)+1)
		if at := bytes.Index(s.text[from:], []byte(stop)); at >= 0 && from+at < cut {
			cut, stopped = from+at, true
		}
	}
	s.text = s.text[:cut]
	return stopped
}

// finish adds the bytes of a character that was never completed. No stop string ends in such bytes.
func (s *stream) finish() { s.text = append(s.text, s.decoder.Flush()...) }

// release gives the text that is certain and was not given before.
func (s *stream) release() string {
	safe := len(s.text)
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.text)-s.released); n > 0; n-- {
			if strings.HasPrefix(stop, string(s.text[len(s.text)-n:])) {
				safe = min(safe, len(s.text)-n)
				break
			}
		}
	}
	return s.take(safe)
}

// rest gives everything that was not given before, at the end.
func (s *stream) rest() string { return s.take(len(s.text)) }

func (s *stream) take(end int) string {
	text := string(s.text[s.released:end])
	s.released = end
	return text
}
