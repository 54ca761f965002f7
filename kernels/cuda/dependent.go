package cuda

import (
	"fmt"
	"regexp"
	"strings"
)

// dependentArch is the first level of cards on which a launch may begin before the one in front of it has ended.
const dependentArch = 90

var targetPattern = regexp.MustCompile(`(?m)^\.target sm_\d+$`)

// dependentText changes a text for dependent launches: the first thing that each thread of each kernel does is to wait until
// the launch in front has ended and its writes can be seen, the second to let the next launch begin. So the order of all reads
// and writes is that of launches one after the other; what overlaps is the work of starting a launch. It happens in the text
// so that no compiler has moved anything in front of the wait.
func dependentText(text string) (string, error) {
	if n := len(targetPattern.FindAllString(text, -1)); n != 1 {
		return "", fmt.Errorf("%d targets in a text, want 1", n)
	}
	text = targetPattern.ReplaceAllString(text, fmt.Sprintf(".target sm_%d", dependentArch))
	var out strings.Builder
	entries := strings.Count(text, ".entry ")
	header, declarations := false, false
	for line := range strings.Lines(text) {
		word := strings.TrimSpace(line)
		switch {
		case strings.Contains(line, ".entry "):
			header = true
		case header && word == "{":
			header, declarations = false, true
		case declarations && !strings.HasPrefix(word, "."):
			out.WriteString("\tgriddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;\n")
			declarations = false
			entries--
		}
		out.WriteString(line)
	}
	if entries != 0 {
		return "", fmt.Errorf("%d kernels of a text have no first instruction", entries)
	}
	return out.String(), nil
}
