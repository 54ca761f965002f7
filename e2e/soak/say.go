package main

import (
	"fmt"
	"math/rand/v2"
)

// sayCounter speaks to the module of package evaltest: mostly it counts, sometimes it fails in one of its ways.
func sayCounter(p *process, r *rand.Rand) (action, data string) {
	switch draw := r.IntN(200); {
	case draw < 160:
		return "Count", fmt.Sprintf("message %d", p.said)
	case draw < 180:
		return "Fail", "@e"
	case draw < 186:
		return "Fail", "@x"
	case draw < 190:
		return "Fail", "@b"
	case draw < 195:
		return "Fail", "@t"
	case draw < 199:
		return "Fail", "@g"
	}
	return "Fail", "@l" // for ever, until the gas is used up
}

// sayStory asks the embedded model now and then; otherwise the process tells what it has told.
func sayStory(p *process, r *rand.Rand) (action, data string) {
	if r.IntN(3) > 0 {
		return "Info", ""
	}
	return "Ask", fmt.Sprintf("Tell me story %d about a %s.", p.said, [...]string{"fox", "kite", "boat", "hen"}[r.IntN(4)])
}

// sayLua speaks to an aos process: it sets up handlers first, and then uses them, computes, sends, spawns and fails.
func sayLua(p *process, r *rand.Rand) (action, data string) {
	switch p.said {
	case 0:
		return "Eval", `Count = 0; Kept = {}; Seen = {}
Handlers.add("tick", Handlers.utils.hasMatchingTag("Action", "Tick"), function (m) Count = Count + 1 Kept[#Kept % 50 + 1] = "tick " .. tostring(m.Timestamp) end)
Handlers.add("ping", Handlers.utils.hasMatchingTag("Action", "Ping"), function (m) Count = Count + 1 m.reply({ Data = "pong " .. tostring(m.Data) .. " " .. Count }) end)
Handlers.add("put", Handlers.utils.hasMatchingTag("Action", "Put"), function (m) local n = tonumber(m.Data) or 0 Seen[n % 100] = n Kept[n % 50 + 1] = string.rep("x", n % 97) end)
return #Handlers.list`
	case 1:
		return "Eval", `Prompt = function () return "soak> " end return Name or ao.id`
	}
	n := r.IntN(100000)
	switch draw := r.IntN(100); {
	case draw < 30:
		return "Eval", "Count = (Count or 0) + 1 return Count"
	case draw < 50:
		return "Ping", fmt.Sprint(n)
	case draw < 68:
		return "Put", fmt.Sprint(n)
	case draw < 74:
		return "Eval", fmt.Sprintf("local t = {} for i = 1, %d do t[i] = (i * 7919 + %d) %% 1009 end table.sort(t) return table.concat(t, ',', 1, 20)", 50+n%200, n)
	case draw < 79:
		return "Eval", "local k = {} for name, v in pairs(Seen or {}) do k[#k + 1] = tostring(name) .. '=' .. tostring(v) end return table.concat(k, ' ')"
	case draw < 84:
		return "Eval", fmt.Sprintf(`Send({ Target = ao.id, Action = "Ping", Data = "%d" }) Send({ Target = ao.id, Action = "Put", Data = "%d" }) return #ao.outbox.Messages`, n, n+1)
	case draw < 87:
		return "Eval", fmt.Sprintf(`Spawn(ao._module or ao.id, { Data = "child %d", Tags = { Name = "kid" } }) return "spawned"`, n)
	case draw < 89:
		return "Eval", `Assign({ Processes = { ao.id }, Message = ao.id }) return "assigned"`
	case draw < 93:
		return "Eval", fmt.Sprintf("error('as asked: %d')", n)
	case draw < 95:
		return "Eval", "this is not lua"
	case draw < 96:
		return "Eval", "local function f() return f() + 1 end return f()"
	case draw < 97:
		return "Eval", fmt.Sprintf("Keep = string.rep('%d', 20000) local s = 0 for i = 1, #Keep, 97 do s = s + Keep:byte(i) end Keep = nil collectgarbage() return s", n)
	case draw < 98:
		return "Eval", "math.randomseed(7) return tostring(math.random()) .. ' ' .. tostring(os.time()) .. ' ' .. os.date('!%c', 86400 * 364)"
	}
	return "Unheard-Of", fmt.Sprintf("nobody handles this: é 漢字 🙂 \u2028 \"quoted\" \\ %d", n)
}

// saySQL speaks to an aos with SQLite in it.
func saySQL(p *process, r *rand.Rand) (action, data string) {
	if p.said == 0 {
		return "Eval", `sqlite3 = require("lsqlite3") db = sqlite3.open_memory()
db:exec("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body TEXT, at INTEGER); CREATE INDEX IF NOT EXISTS at ON notes (at);") return "ready"`
	}
	n := r.IntN(100000)
	switch draw := r.IntN(10); {
	case draw < 5:
		return "Eval", fmt.Sprintf(`return db:exec("INSERT INTO notes (body, at) VALUES ('note %d', %d); DELETE FROM notes WHERE id <= (SELECT MAX(id) FROM notes) - 200;")`, n, n)
	case draw < 8:
		return "Eval", `local n, s = 0, 0 for row in db:nrows("SELECT * FROM notes ORDER BY at DESC LIMIT 20") do n = n + 1 s = s + row.at end return n .. " " .. s`
	case draw < 9:
		return "Eval", `return db:exec("SELECT * FROM nowhere")`
	}
	return "Unheard-Of", fmt.Sprint(n)
}
