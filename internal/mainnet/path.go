package mainnet

import (
	"net/http"
	"net/url"
	"strings"

	"verbatim/cu/ao"
)

// step is a part of a path: a name, the device that resolves it, a value, and parameters.
//
//	name~device=value&parameter=value...
type step struct {
	name, device, value string
	parameters          ao.Tags
}

// parsePath reads the steps of an escaped path. Separators that are escaped belong to names and values.
func parsePath(escaped string) (steps []step, err error) {
	for _, part := range strings.Split(escaped, "/") {
		if part == "" {
			continue
		}
		head, parameters, _ := strings.Cut(part, "&")
		var s step
		head, value, _ := strings.Cut(head, "=")
		name, device, _ := strings.Cut(head, "~")
		for _, field := range [...]struct {
			to   *string
			text string
		}{{&s.name, name}, {&s.device, device}, {&s.value, value}} {
			if *field.to, err = unescape(field.text); err != nil {
				return nil, err
			}
		}
		if s.parameters, err = parseParameters(parameters); err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// parseParameters reads name=value&name=value in order.
func parseParameters(escaped string) (parameters ao.Tags, err error) {
	for _, part := range strings.Split(escaped, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if name, err = unescape(name); err != nil {
			return nil, err
		}
		if value, err = unescape(value); err != nil {
			return nil, err
		}
		parameters = parameters.Append(name, value)
	}
	return parameters, nil
}

func unescape(text string) (string, error) {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "path: %w", err)
	}
	return plain, nil
}
