package wasmhost

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Byte offsets in struct tm of musl.
const (
	tmSecond, tmMinute, tmHour, tmDay, tmMonth, tmYear       = 0, 4, 8, 12, 16, 20
	tmWeekday, tmYearDay, tmDaylight, tmOffset, tmZone       = 24, 28, 32, 36, 40
	tmOffsetWide, tmZoneWide                                 = 40, 48            // 64-bit fields
	secondsMax                                         int64 = 8_640_000_000_000 // what a JavaScript Date can hold
	zoneName                                                 = "UTC\x00"
)

// tzset writes a time zone without offset and daylight saving: the process lives in UTC.
func tzset(e *evaluation, stack []uint64) {
	e.putSize(arg(stack, 0), 0)
	e.putU32(arg(stack, 1), 0)
	copy(e.bytes(arg(stack, 3), uint32(len(zoneName))), zoneName)
	copy(e.bytes(arg(stack, 2), uint32(len(zoneName))), zoneName)
}

func gmtime(e *evaluation, stack []uint64) {
	s, tm := e.timeArguments(stack)
	e.putDate(tm, s)
}

func localtime(e *evaluation, stack []uint64) {
	s, tm := e.timeArguments(stack)
	e.putDate(tm, s)
	if e.m.wide {
		e.putU64(tm+tmOffsetWide, 0)
	} else {
		e.putU32(tm+tmOffset, 0)
	}
	e.putU32(tm+tmDaylight, 0)
}

// timeArguments reads (seconds, address of a struct tm); without 64-bit addresses the seconds come in two halves.
func (e *evaluation) timeArguments(stack []uint64) (seconds int64, tm uint32) {
	if e.m.wide {
		return int64(stack[0]), arg(stack, 1)
	}
	return int64(uint64(arg(stack, 1))<<32 | uint64(arg(stack, 0))), arg(stack, 2)
}

// putDate fills the fields from second to day of the year; a time that JavaScript cannot hold gives zeros.
func (e *evaluation) putDate(tm uint32, s int64) {
	var fields [8]int32
	if s >= -secondsMax && s <= secondsMax {
		d := time.Unix(s, 0).UTC()
		fields = [8]int32{int32(d.Second()), int32(d.Minute()), int32(d.Hour()), int32(d.Day()), int32(d.Month()) - 1,
			int32(d.Year() - 1900), int32(d.Weekday()), int32(d.YearDay()) - 1}
	}
	for i, v := range fields {
		e.putU32(tm+4*uint32(i), uint32(v))
	}
}

// mktime normalises a date and returns its seconds; without 64-bit addresses the high half goes through the module's own
// register.
func mktime(e *evaluation, stack []uint64) {
	s := e.normalise(arg(stack, 0))
	if s < -secondsMax || s > secondsMax {
		s = -1
	}
	if e.m.wide {
		stack[0] = uint64(s)
		return
	}
	e.call(e.m.setTempRet, uint64(uint32(s>>32)))
	answer(stack, int32(s))
}

// normalise brings the fields of a date into their ranges and returns its seconds.
func (e *evaluation) normalise(tm uint32) int64 {
	year := int(e.i32(tm+tmYear)) + 1900
	if year >= 0 && year <= 99 {
		year += 1900 // as JavaScript reads years of two digits
	}
	d := time.Date(year, time.Month(e.i32(tm+tmMonth))+1, int(e.i32(tm+tmDay)), int(e.i32(tm+tmHour)),
		int(e.i32(tm+tmMinute)), int(e.i32(tm+tmSecond)), 0, time.UTC)
	if e.i32(tm+tmDaylight) < 0 {
		e.putU32(tm+tmDaylight, 0)
	}
	s := d.Unix()
	e.putDate(tm, s)
	return s
}

// date is struct tm as strftime reads it.
type date struct {
	second, minute, hour, day, month, year, weekday, yearDay, offset int
	zone                                                             string
}

func (e *evaluation) readDate(tm uint32) date {
	field := func(at uint32) int { return int(e.i32(tm + at)) }
	offset, zoneAt := uint32(tmOffset), uint32(tmZone)
	if e.m.wide {
		offset, zoneAt = tmOffsetWide, tmZoneWide
	}
	d := date{field(tmSecond), field(tmMinute), field(tmHour), field(tmDay), field(tmMonth), field(tmYear) + 1900,
		field(tmWeekday), field(tmYearDay), field(offset), ""}
	if zone := e.pointerAt(tm + zoneAt); zone != 0 {
		text, _ := e.cString(zone, 64)
		d.zone = string(text)
	}
	if d.weekday < 0 || d.weekday > 6 || d.month < 0 || d.month > 11 {
		panic(&Fault{Trap, "strftime of a date that is none"})
	}
	return d
}

// strftime works as in emscripten: composite patterns first, then single ones, each replaced everywhere in order.
// Its final zero counts against the space, and a result that does not fit is 0.
func strftime(e *evaluation, stack []uint64) {
	to, space, tm := arg(stack, 0), arg(stack, 1), arg(stack, 3)
	raw, ok := e.cString(arg(stack, 2), 1<<16)
	if !ok {
		panic(&Fault{Trap, "strftime of a pattern without end"})
	}
	text := composite().Replace(e.readDate(tm), string(raw)) + "\x00"
	if uint64(len(text)) > uint64(space) {
		answer(stack, 0)
		return
	}
	copy(e.bytes(to, uint32(len(text))), text)
	answer(stack, int32(len(text)-1))
}

// patterns are the composite conversions, in the order in which they are replaced.
type patterns [][2]string

func composite() patterns {
	return patterns{
		{"%c", "%a %b %d %H:%M:%S %Y"}, {"%D", "%m/%d/%y"}, {"%F", "%Y-%m-%d"}, {"%h", "%b"}, {"%r", "%I:%M:%S %p"},
		{"%R", "%H:%M"}, {"%T", "%H:%M:%S"}, {"%x", "%m/%d/%y"}, {"%X", "%H:%M:%S"}, {"%Ec", "%c"}, {"%EC", "%C"},
		{"%Ex", "%m/%d/%y"}, {"%EX", "%H:%M:%S"}, {"%Ey", "%y"}, {"%EY", "%Y"}, {"%Od", "%d"}, {"%Oe", "%e"},
		{"%OH", "%H"}, {"%OI", "%I"}, {"%Om", "%m"}, {"%OM", "%M"}, {"%OS", "%S"}, {"%Ou", "%u"}, {"%OU", "%U"},
		{"%OV", "%V"}, {"%Ow", "%w"}, {"%OW", "%W"}, {"%Oy", "%y"},
	}
}

// Replace expands text for the date.
func (p patterns) Replace(d date, text string) string {
	for _, rule := range p {
		text = strings.ReplaceAll(text, rule[0], rule[1])
	}
	text = strings.ReplaceAll(text, "%%", "\x00\x00")
	for _, letter := range "aAbBCdegGHIjmMnpStuUVwWyYzZ" {
		if pattern := "%" + string(letter); strings.Contains(text, pattern) {
			text = strings.ReplaceAll(text, pattern, d.field(letter))
		}
	}
	return strings.ReplaceAll(text, "\x00\x00", "%")
}

func (d date) field(letter rune) string {
	switch letter {
	case 'a':
		return time.Weekday(d.weekday).String()[:3]
	case 'A':
		return time.Weekday(d.weekday).String()
	case 'b':
		return time.Month(d.month + 1).String()[:3]
	case 'B':
		return time.Month(d.month + 1).String()
	case 'C':
		return pad(d.year/100, 2, "0")
	case 'd':
		return pad(d.day, 2, "0")
	case 'e':
		return pad(d.day, 2, " ")
	case 'g':
		return tail(d.weekYear())
	case 'G':
		return strconv.Itoa(d.weekYear())
	case 'H':
		return pad(d.hour, 2, "0")
	case 'I':
		return pad(d.hour12(), 2, "0")
	case 'j':
		return pad(d.day+daysBefore(d.year, d.month), 3, "0")
	case 'm':
		return pad(d.month+1, 2, "0")
	case 'M':
		return pad(d.minute, 2, "0")
	case 'n':
		return "\n"
	case 'p':
		if d.hour >= 0 && d.hour < 12 {
			return "AM"
		}
		return "PM"
	case 'S':
		return pad(d.second, 2, "0")
	}
	return d.rareField(letter)
}

func (d date) rareField(letter rune) string {
	switch letter {
	case 't':
		return "\t"
	case 'u':
		if d.weekday == 0 {
			return "7"
		}
		return strconv.Itoa(d.weekday)
	case 'U':
		return pad(floorDiv(d.yearDay+7-d.weekday, 7), 2, "0")
	case 'V':
		return pad(d.isoWeek(), 2, "0")
	case 'w':
		return strconv.Itoa(d.weekday)
	case 'W':
		return pad(floorDiv(d.yearDay+7-(d.weekday+6)%7, 7), 2, "0")
	case 'y':
		return tail(d.year)
	case 'Y':
		return strconv.Itoa(d.year)
	case 'z':
		return d.zoneOffset()
	case 'Z':
		return d.zone
	}
	return ""
}

func (d date) hour12() int {
	switch {
	case d.hour == 0:
		return 12
	case d.hour > 12:
		return d.hour - 12
	}
	return d.hour
}

func (d date) zoneOffset() string {
	sign, minutes := "+", math.Abs(float64(d.offset))/60
	if d.offset < 0 {
		sign = "-"
	}
	off := float64(minutes/60*100) + math.Mod(minutes, 60)
	digits := "0000" + strconv.FormatFloat(off, 'f', -1, 64)
	return sign + digits[len(digits)-4:]
}

// isoWeek is emscripten's (that is, musl's) week of the year with its corrections at both ends.
func (d date) isoWeek() int {
	week := floorDiv(d.yearDay+7-(d.weekday+6)%7, 7)
	if (d.weekday+371-d.yearDay-2)%7 <= 2 {
		week++
	}
	year := d.year - 1900
	switch week {
	case 0:
		week = 52
		dec31 := (d.weekday + 7 - d.yearDay - 1) % 7
		if dec31 == 4 || (dec31 == 5 && leap(year%400-1)) {
			week++
		}
	case 53:
		jan1 := (d.weekday + 371 - d.yearDay) % 7
		if jan1 != 4 && (jan1 != 3 || !leap(year)) {
			week = 1
		}
	}
	return week
}

// weekYear is the year that the ISO week belongs to.
func (d date) weekYear() int {
	year, _ := time.Date(d.year, 1, 1+d.yearDay, 0, 0, 0, 0, time.UTC).ISOWeek()
	return year
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysBefore(year, month int) int {
	return time.Date(year, time.Month(month+1), 1, 0, 0, 0, 0, time.UTC).YearDay() - 1
}

func floorDiv(a, b int) int { return int(math.Floor(float64(a) / float64(b))) }

// tail drops the first two characters of a year.
func tail(year int) string {
	s := strconv.Itoa(year)
	return s[min(2, len(s)):]
}

func pad(v, width int, with string) string {
	s := strconv.Itoa(v)
	for len(s) < width {
		s = with + s
	}
	return s
}
