package main

import (
	"fmt"
	"regexp"
	"strings"
)

// rule is something that no line of PTX may be. Comments are gone and white space is single.
type rule struct {
	why     string
	pattern *regexp.Regexp
}

// rules keep the promises of kernels/SPEC.md section 1: the operations written there, each rounded once, to nearest even,
// subnormals kept, and no order that depends on timing.
var rules = []rule{
	{"an approximation", regexp.MustCompile(`\.approx\b|\.full\b`)},
	{"subnormals flushed to zero", regexp.MustCompile(`\.ftz\b`)},
	{"saturation", regexp.MustCompile(`\.sat\b.*\.f(16|32)`)},
	{"float arithmetic without .rn, which the driver's compiler may contract", regexp.MustCompile(`^(@!?%\w+ )?(add|sub|mul|mad|fma|div|sqrt|rcp)\.(r[zmp]\.)?f(16|32|64|16x2)\b`)},
	{"another rounding than to nearest", regexp.MustCompile(`^(@!?%\w+ )?(add|sub|mul|mad|fma|div|sqrt|rcp)\.r[zmp]\b`)},
	{"a float atomic, whose order is chance", regexp.MustCompile(`^(@!?%\w+ )?(atom|red)\b.*\.(f16|f32|f64|f16x2|bf16|bf16x2)\b`)},
	{"f64, for which SPEC.md has no use on a device", regexp.MustCompile(`\.f64\b`)},
	{"f16 or bf16 arithmetic", regexp.MustCompile(`^(@!?%\w+ )?(add|sub|mul|fma|div|ex2|tanh|min|max)\.\S*(f16|bf16)`)},
	{"a library function of the hardware", regexp.MustCompile(`^(@!?%\w+ )?(sin|cos|lg2|ex2|tanh|rsqrt|rcp)\b`)},
	{"float tensor cores", regexp.MustCompile(`^(@!?%\w+ )?(mma|wmma|wgmma)\S*\.(f16|f32|bf16|tf32|f64|e4m3|e5m2)\b`)},
	{"a local array: an index that the compiler does not know", regexp.MustCompile(`^\.local\b|\.local\.`)},
	{"a call", regexp.MustCompile(`^(@!?%\w+ )?call\b`)},
	{"the clock", regexp.MustCompile(`%(clock|clock64|clock_hi|globaltimer)`)},
}

// rounding finds conversions.
var rounding = regexp.MustCompile(`^(@!?%\w+ )?cvt\.(\S+)`)

var (
	comments = regexp.MustCompile(`//[^\n]*`)
	spaces   = regexp.MustCompile(`\s+`)
)

// violations lists what breaks a rule, with its line.
func violations(text string) []string {
	var found []string
	for i, line := range strings.Split(comments.ReplaceAllString(text, ""), "\n") {
		line = strings.TrimSpace(spaces.ReplaceAllString(line, " "))
		for _, r := range rules {
			if r.pattern.MatchString(line) {
				found = append(found, fmt.Sprintf("line %d: %s: %s", i+1, r.why, line))
			}
		}
		if m := rounding.FindStringSubmatch(line); m != nil && !conversionAllowed(m[2]) {
			found = append(found, fmt.Sprintf("line %d: a conversion that kernels do not use: %s", i+1, line))
		}
	}
	return found
}

// conversionAllowed: between integers anything; with floats only what is exact for the values that kernels have (integers to
// f32, f16 to f32) or rounds to nearest even (f32 to f16).
func conversionAllowed(kind string) bool {
	switch kind {
	case "rn.f32.s32", "rn.f32.u32", "rn.f32.s16", "rn.f32.u16", "rn.f32.s8", "rn.f32.u8", "f32.f16", "rn.f16.f32":
		return true
	}
	return !regexp.MustCompile(`f16|f32|f64`).MatchString(kind)
}
