package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// storyteller is the process: what it remembers, and how it asks for text.
type storyteller struct {
	told   int
	titles []string
	ask    func(request []byte) (response []byte, err error)
}

// titlesMax bounds what the process remembers: the oldest titles go first.
const titlesMax = 100

type tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// message is what the process reads of an ao message.
type message struct {
	From   string          `json:"From"`
	Owner  string          `json:"Owner"`
	Data   json.RawMessage `json:"Data"`
	Anchor string          `json:"Anchor"`
	Tags   []tag           `json:"Tags"`
}

func (m message) tag(name string) (string, bool) {
	for _, t := range m.Tags {
		if strings.EqualFold(t.Name, name) {
			return t.Value, true
		}
	}
	return "", false
}

// text is the message's Data if it is a string.
func (m message) text() string {
	var s string
	if json.Unmarshal(m.Data, &s) != nil {
		return ""
	}
	return s
}

// outgoing is a message that the process sends.
type outgoing struct {
	Target string `json:"Target"`
	Anchor string `json:"Anchor"`
	Data   string `json:"Data"`
	Tags   []tag  `json:"Tags"`
}

type output struct {
	Data   string `json:"data"`
	Prompt string `json:"prompt,omitempty"`
}

// result is the ao result; handle wraps it as {"ok":true,"response":...}.
type result struct {
	Output      any        `json:"Output"`
	Messages    []outgoing `json:"Messages"`
	Spawns      []struct{} `json:"Spawns"`
	Assignments []struct{} `json:"Assignments"`
	Error       string     `json:"Error,omitempty"`
}

// request and response are the JSON of verbatim.infer (wasmhost/ABI.md).
type request struct {
	Messages    []turn          `json:"messages"`
	MaxTokens   json.RawMessage `json:"max_tokens"`
	Temperature json.RawMessage `json:"temperature"`
	Seed        json.RawMessage `json:"seed"`
	Model       string          `json:"model,omitempty"`
}

type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type response struct {
	Text         string `json:"text"`
	FinishReason string `json:"finish_reason"`
	Receipt      string `json:"receipt"`
	Error        *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type inferError uint32

func (e inferError) Error() string { return "infer: error number " + strconv.Itoa(int(e)) }

// handle evaluates one message and returns the JSON that the compute unit expects.
func (s *storyteller) handle(raw, _ []byte) []byte {
	var m message
	res, err := result{}, json.Unmarshal(raw, &m)
	if err == nil {
		res, err = s.act(m)
	}
	if err != nil {
		res = result{Error: err.Error()}
	}
	if res.Messages == nil {
		res.Messages = []outgoing{}
	}
	res.Spawns, res.Assignments = []struct{}{}, []struct{}{}
	out, err := json.Marshal(struct {
		OK       bool   `json:"ok"`
		Response result `json:"response"`
	}{true, res})
	if err != nil {
		return []byte(`{"ok":false,"response":"storyteller: result is not JSON"}`)
	}
	return out
}

// act chooses by the tags: a Process message introduces, Action=Info reports, everything else is a question.
func (s *storyteller) act(m message) (result, error) {
	if kind, _ := m.tag("Type"); kind == "Process" {
		return result{Output: output{Data: "The storyteller is listening."}}, nil
	}
	if action, _ := m.tag("Action"); action == "Info" {
		return s.info(m), nil
	}
	return s.tell(m)
}

func (s *storyteller) info(m message) result {
	text := "Stories told: " + strconv.Itoa(s.told)
	for _, title := range s.titles {
		text += "\n- " + title
	}
	return result{Output: output{Data: text}, Messages: []outgoing{s.reply(m, "Info", text)}}
}

// tell asks the model and remembers the story only when there is one.
func (s *storyteller) tell(m message) (result, error) {
	question := m.text()
	if question == "" {
		return result{}, errors.New("storyteller: send a question as Data")
	}
	q := request{Messages: []turn{{"user", question}}}
	var err error
	for _, p := range []struct {
		tag, normal string
		to          *json.RawMessage
	}{{"Max-Tokens", "96", &q.MaxTokens}, {"Temperature", "0.8", &q.Temperature}, {"Seed", strconv.Itoa(s.told + 1), &q.Seed}} {
		if *p.to, err = number(m, p.tag, p.normal); err != nil {
			return result{}, err
		}
	}
	q.Model, _ = m.tag("Model")
	answer, err := s.infer(q)
	if err != nil {
		return result{}, err
	}
	s.told++
	s.titles = append(s.titles, title(answer.Text))
	s.titles = s.titles[max(0, len(s.titles)-titlesMax):]
	reply := s.reply(m, "Story", answer.Text)
	reply.Tags = append(reply.Tags, tag{"Receipt", answer.Receipt}, tag{"Finish-Reason", answer.FinishReason},
		tag{"Story-Number", strconv.Itoa(s.told)})
	return result{Output: output{Data: answer.Text}, Messages: []outgoing{reply}}, nil
}

func (s *storyteller) infer(q request) (response, error) {
	raw, err := json.Marshal(q)
	if err != nil {
		return response{}, err
	}
	raw, err = s.ask(raw)
	if err != nil {
		return response{}, err
	}
	var r response
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, errors.New("storyteller: the answer is not JSON: " + err.Error())
	}
	if r.Error != nil {
		return r, errors.New("storyteller: " + r.Error.Code + ": " + r.Error.Message)
	}
	return r, nil
}

func (s *storyteller) reply(m message, action, text string) outgoing {
	to := m.From
	if to == "" {
		to = m.Owner
	}
	return outgoing{Target: to, Anchor: anchor(s.told), Data: text,
		Tags: []tag{{"Data-Protocol", "ao"}, {"Variant", "ao.TN.1"}, {"Type", "Message"}, {"Action", action}}}
}

// anchor numbers messages as aos does: 32 digits.
func anchor(n int) string {
	digits := strconv.Itoa(n)
	return strings.Repeat("0", 32-len(digits)) + digits
}

// number reads a tag that must be a JSON number.
func number(m message, name, normal string) (json.RawMessage, error) {
	value, ok := m.tag(name)
	if !ok {
		value = normal
	}
	if _, err := strconv.ParseFloat(value, 64); err != nil || !json.Valid([]byte(value)) {
		return nil, errors.New("storyteller: tag " + name + " is not a number: " + value)
	}
	return json.RawMessage(value), nil
}

// title is the beginning of a story, for the list.
func title(story string) string {
	words := strings.Fields(story)
	return strings.Join(words[:min(len(words), 6)], " ")
}
