package inference

import (
	"verbatim/inference/grammar"
	"verbatim/models/tokenizer"
)

// vocabulary is the model's for grammars. It is made when the first answer needs it. Tokens that end an answer have no text,
// whatever the file calls them.
func (e *Engine) vocabulary() *grammar.Vocabulary {
	e.words.once.Do(func() {
		t := e.model.Tokenizer
		texts, ends := make([][]byte, t.Size()), []int32{}
		for i := range texts {
			token := tokenizer.Token(i)
			if t.IsEnd(token) {
				ends = append(ends, int32(i))
				continue
			}
			texts[i] = t.PlainText(token)
		}
		e.words.vocabulary = grammar.NewVocabulary(texts, ends)
	})
	return e.words.vocabulary
}
