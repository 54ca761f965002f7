// Prints the messages of the comparison, one JSON line each.
//   node messages.mjs > messages.jsonl
//   node messages.mjs short > messages.jsonl       or light, or floats
//   node messages.mjs actions > messages.jsonl     for the small processes of ao-loader's tests, which know a few actions
const process_ = 'Process0000000000000000000000000000000000AA'
const owner = 'Owner000000000000000000000000000000000000AA'
const other = 'Stranger0000000000000000000000000000000000A'

let nonce = 0
function message (from, tags, data, id) {
  const n = nonce++
  return {
    Id: id ?? `Message${String(n).padStart(35, '0')}A`,
    Owner: from,
    From: from,
    Target: process_,
    Anchor: '0',
    Tags: Object.entries({ 'Data-Protocol': 'ao', Variant: 'ao.TN.1', ...tags }).map(([name, value]) => ({ name, value })),
    Data: data,
    Module: 'Module0000000000000000000000000000000000AAA',
    Timestamp: 1700000000000 + n * 1000,
    'Block-Height': 1300000 + n,
    Nonce: n,
    Epoch: 0,
    'Hash-Chain': `chain-${n}`,
    Cron: false
  }
}
const evaluate = code => message(owner, { Type: 'Message', Action: 'Eval' }, code)
// aos takes a second value as an error, so several values are shown as one string.
const values = (list, before = '') => evaluate(`${before} return (function (...) local t = table.pack(...) for i = 1, t.n do t[i] = tostring(t[i]) end return table.concat(t, "|") end)(${list})`)

const all = [
  message(owner, { Type: 'Process', Name: 'e2e' }, 'this is the process', process_),
  evaluate('return 1 + 1'),
  evaluate('count = (count or 0) + 1 return count'),
  evaluate('return tostring({}) .. " " .. tostring(print)'),
  evaluate('local t = {} for i = 1, 500 do t[i] = (i * 7919) % 1009 end table.sort(t) return table.concat(t, ",", 1, 20)'),
  evaluate('local k = {} for name in pairs(_G) do k[#k + 1] = name end return table.concat(k, " ")'),
  evaluate('error("a plain error")'),
  evaluate('return count'),
  evaluate('this is not lua'),
  evaluate('return nil + 1'),
  evaluate('Handlers.add("ping", Handlers.utils.hasMatchingTag("Action", "Ping"), function (m) m.reply({ Data = "pong " .. m.Data }) end) return #Handlers.list'),
  message(other, { Type: 'Message', Action: 'Ping' }, 'from a stranger'),
  message(other, { Type: 'Message', Action: 'Unheard-Of' }, 'nobody handles this: é ü 漢字 🙂 \u2028 "quoted" \\ \n'),
  values('#Inbox, Inbox[#Inbox].Data'),
  evaluate(`Send({ Target = "${other}", Action = "Hello", Data = "to you" }) ao.send({ Target = "${other}", Data = "and again", Tags = { A = "b" } }) return #ao.outbox.Messages`),
  evaluate(`Spawn("Module0000000000000000000000000000000000AAA", { Data = "child", Tags = { Name = "kid" } }) Assign({ Processes = { "${other}" }, Message = "${process_}" }) return ao.outbox`),
  values('os.date("!%c|%x|%X|%p|%A|%B|%d|%j|%U|%w|%y|%Y|%Z|%%", 1700000000), os.date("!%F %T %G-W%V-%u %e %I %r %R %D %h %C %g %W %S %H %M %m", 86400 * 364)'),
  values('os.time({ year = 2024, month = 2, day = 30, hour = 12 }), os.time(), os.clock() >= 0, os.date("*t", 0).yday, os.getenv("HOME")'),
  values('co(1), co(2), co(3), co(4)', 'local co = coroutine.wrap(function (a) for i = 1, 3 do a = a + coroutine.yield(a * i) end return "done" end)'),
  evaluate('local n = 0 for i = 1, 2000 do if not pcall(error, i) then n = n + 1 end end return n'),
  values('deep(15000), pcall(deeper)', 'local function deep(n) if n == 0 then return 0 end return 1 + deep(n - 1) end local function deeper() return 1 + deeper() end'),
  values('0/0, -(0/0), 1/0, -1/0, math.huge // 1, 3 // 0.0, 2^53, 7 // -2, -7 % 3, 1e15, 1e16, 0.1 + 0.2, math.pi, math.sin(1), math.exp(1), 5 // 0.3'),
  values('string.format("%a %g %e %.14g %q %5.2f %x %i", 1.5, 1e300, -2.25, 0.1, "a\\nb", 3.14159, 255, 42), ("x"):rep(10, "-"), ("hello world"):gsub("o", "0"), utf8.char(228, 8364, 0x1F600)'),
  values('f, pcall(require, "no.such.module")', 'local f = io.open("/nowhere/at/all")'),
  evaluate('print("printed", 42, true) print({ a = 1 }) return Owner == "' + owner + '"'),
  values('json.encode({ a = { 1, 2, { b = "c" } }, n = 1.5 }), json.decode("[1,2,{\\"x\\":null}]")', 'local json = require("json")'),
  values('collected, math.floor(collectgarbage("count")) > 0', 'local t = setmetatable({}, { __gc = function () collected = (collected or 0) + 1 end }) t = nil collectgarbage()'),
  evaluate('Big = ("0123456789"):rep(200000) local t = {} for i = 1, 20000 do t["k" .. i] = { i } end Keep = t return #Big'),
  evaluate('Big = nil Keep = nil collectgarbage() return collectgarbage("count") < 100000'),
  values('math.random(), math.random(100), math.random(1, 6), count', 'math.randomseed(7)'),
  values('crypto.digest.sha2_512("hello").asHex(), crypto.digest.keccak256("hello").asHex()', 'local crypto = require(".crypto")'),
  evaluate('error({ code = "table error" })'),
  message(other, { Type: 'Message', Action: 'Eval' }, 'return "not allowed"'),
  values('debug.traceback("here"), select("#", table.unpack({}, 1, 100))'),
  // Stacks: of Lua, of C, of coroutines, of patterns.
  evaluate('local function f() return f() + 1 end return f()'),
  values('depth, ok, err', 'local depth = 0 local function nest() depth = depth + 1 local ok, e = coroutine.resume(coroutine.create(nest)) if not ok then error(e, 0) end end local ok, err = pcall(nest)'),
  values('pcall(string.gsub, ("a"):rep(2000), ".-b", ""), pcall(string.find, ("a"):rep(250000), (".-"):rep(3) .. "$")'),
  values('pcall(load, ("return " .. ("("):rep(300) .. "1" .. (")"):rep(300)))'),
  values('pcall(string.gsub, ("x"):rep(250), ("(x)"):rep(40), "%1")'),
  values('select("#", pcall(error)), pcall(error, nil), pcall(error, setmetatable({}, { __tostring = function () return "shown" end }))'),
  // Orders and hashes.
  values('table.concat(t, " ", 1, 30), n', 'local t, n = {}, 0 for i = 1, 3000 do t[i] = (i * 7919) % 3001 end table.sort(t, function (a, b) n = n + 1 return a % 100 < b % 100 or a % 100 == b % 100 and a < b end)'),
  values('pcall(table.sort, { 3, 1, 2, 5, 4, 9, 8, 7, 6, 10, 12, 11 }, function (a, b) return true end)'),
  values('table.concat(k, " ")', 'local t, k = {}, {} for i = 1, 200 do t[{}] = i t["key" .. i] = i t[i * 1.5] = i t[i % 7 == 0] = i end for _, v in pairs(t) do k[#k + 1] = v end'),
  values('table.concat(k, " ")', 'local t, k = {}, {} for i = 1, 300 do t["k" .. i] = i end for i = 1, 300, 3 do t["k" .. i] = nil end for i = 1, 50 do t[-i] = i end for name in next, t do k[#k + 1] = tostring(name) end'),
  // Text.
  values('string.pack("<i4 z s2 d", -7, "zero", "counted", 1.5):byte(1, -1)'),
  values('("%5d|%-5d|%+d|%#x|%o|%c|%10.3s|%%"):format(42, 42, 42, 255, 8, 65, "abcdef"), ("x"):byte(), ("key = value"):match("^(%w+)%s*=%s*(%w+)$"), ("a,b,,c"):find(",", 1, true)'),
  values('tostring(2^63), math.tointeger(3.0), 1e308 * 10, -1e308 * 10, 5 % -3, -5 % 3, 5.5 % -2, 7 // 0.0, pcall(function () return 7 // 0 end), 1 << 63, 1 << 64, -1 >> 1, 3 | 4, "10" + 5, 10 .. 20'),
  values('tonumber("0x1p4"), tonumber("1e1"), tonumber("  12  "), tonumber("z", 36), tonumber("8", 8), tostring(-0.0), 0x7fffffffffffffff + 1, math.ult(1, -1), string.format("%.17g", 0.1)'),
  values('math.fmod(-5, 3), math.sqrt(2), math.log(10), math.log(8, 2), math.cos(1e6), math.tan(1), math.asin(2), math.exp(710), 10^-320, math.modf(-3.7)'),
  values('utf8.len("\u{10FFFF}é漢"), utf8.codepoint("é漢", 1, -1), pcall(utf8.codepoint, "\xff"), #utf8.charpattern'),
  // Time.
  values('os.date("!%a %b %e %H:%M:%S %Y", 0), os.date("%V %G %g %u", 1104537600), os.date("%j %U %W", 1735603200), os.time({ year = 1970, month = 1, day = 1, hour = 0 }), os.time({ year = 2100, month = 14, day = -3, hour = 25, min = 61 })'),
  values('pcall(os.date, "%Ez", 1), pcall(os.date, "%Q"), pcall(os.time, { year = 2024 }), os.difftime(5, 3)'),
  // What aos itself does.
  evaluate('Handlers.prepend("first", function (m) return m.Action == "Order" end, function (m) order = (order or "") .. "1" end) Handlers.add("bad", { Action = "Bad" }, function (m) error("handler failed on " .. m.Data) end) return "ok"'),
  message(other, { Type: 'Message', Action: 'Bad' }, 'this'),
  message(other, { Type: 'Message', Action: 'Order' }, ''),
  message(other, { Type: 'Message', Action: 'Ping', 'X-Reference': '7', Reference: '7' }, 'x'.repeat(50000)),
  evaluate('return order'),
  evaluate(`for i = 1, 20 do Send({ Target = "${other}", Action = "Number", Data = tostring(i), Tags = { Index = tostring(i) } }) end return ao.id`),
  evaluate('Handlers.remove("ping") return #Handlers.list'),
  evaluate('local t = setmetatable({}, { __index = function (_, k) return k .. "!" end, __call = function (_, a) return a * 2 end, __close = nil, __len = function () return 99 end, __concat = function () return "joined" end }) return t.x .. t(21) .. #t .. (t .. "")'),
  evaluate('local total = 0 for round = 1, 60 do local t = {} for i = 1, 2000 do t[i] = { i, tostring(i) } end total = total + #t[#t][2] end collectgarbage() return total'),
  evaluate('return Inbox[1].Data, #Inbox'),
  message(owner, { Type: 'Message', Action: 'Eval' }, 'return "' + 'é漢🙂'.repeat(3000) + '"'),
  evaluate('\0'),
  evaluate(''),
  // A database in memory, where the module has one; elsewhere the error that it has none. No random() and no VACUUM: they read
  // /dev/urandom, and two runs of the reference differ.
  evaluate('sqlite = require("lsqlite3") db = sqlite.open_memory() return db:exec[[CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, v REAL); CREATE INDEX n ON t (name)]]'),
  evaluate('db:exec("BEGIN") for i = 1, 1500 do db:exec("INSERT INTO t (name, v) VALUES (\'n" .. (i * 7919) % 1009 .. "\', " .. i .. " / 7.0)") end return db:exec("COMMIT")'),
  evaluate('local out = {} for r in db:nrows("SELECT name, count(*) AS c, sum(v) AS s, avg(v) AS a, max(id) AS m FROM t GROUP BY name HAVING c > 1 ORDER BY s DESC LIMIT 7") do out[#out + 1] = r.name .. " " .. r.c .. " " .. r.s .. " " .. r.a .. " " .. r.m end return table.concat(out, "|")'),
  evaluate(`local out = {} for r in db:rows([[SELECT date(0, 'unixepoch'), datetime(1700000000, 'unixepoch'), json_extract('{"a":[1,2]}', '$.a[1]'), hex(zeroblob(3)), upper('x'), printf('%.3f', 2.0 / 3)]]) do for i = 1, #r do out[i] = tostring(r[i]) end end return table.concat(out, "|")`),
  evaluate('return tostring(db:exec("SELECT * FROM nothing")) .. tostring(db:errmsg()) .. tostring(db:exec("DELETE FROM t WHERE id % 3 = 0"))'),
  // Memory that runs out: caught, not caught, and life afterwards. Last, because memory never shrinks.
  values('pcall(fill)', 'local function fill() local t = {} while true do t[#t + 1] = ("x"):rep(4000000) .. #t end end'),
  evaluate('local t = {} while true do t[#t + 1] = ("y"):rep(8000000) .. #t end'),
  evaluate('collectgarbage() return count'),
  values('pcall(string.rep, "x", 1 << 40)'),
  evaluate('return #("x"):rep(2000000000)')
]
const actions = ['echo', 'inc', 'inc', 'Date', 'Random', 'echo', 'Directory', 'inc', 'Memory', 'inc', 'loop for ever', 'inc', 'Assignment', 'echo']
  .map((action, i) => message(owner, { Type: 'Message', Action: action }, `data ${i}: é 漢字 🙂 ${'x'.repeat(i * 997)}`))
// The reference's metering takes minutes for a message that computes for a second, and its frames are so large that 190
// coroutines within each other are more than Node's stack holds.
const light = all.filter(m => !/nest|deep|Big = |while true|rep\(2|total|string\.gsub/.test(m.Data))
// What leaves numbers that are none in memory, and what their bits decide.
const floats = [
  ...all.slice(0, 6),
  evaluate('Kept = {} for i = 1, 300 do Kept[i] = ({ 0/0, -(0/0), math.huge - math.huge, math.huge * 0, math.sqrt(-i), math.fmod(i, 0.0), i / 3, math.sin(i) * 1e300 * 1e300 })[i % 8 + 1] end return #Kept'),
  values('table.unpack(Kept, 1, 16)'),
  evaluate('Packed = "" for i = 1, #Kept do Packed = Packed .. string.pack("<df", Kept[i], Kept[i]) end return (Packed:gsub(".", function (c) return ("%02x"):format(c:byte()) end))'),
  evaluate('local sum, nan = 0, 0/0 for i = 1, 1000 do sum = sum + Kept[i % #Kept + 1] * 0.5 - nan end Sum = sum return tostring(sum) .. tostring(-sum) .. string.format("%a %g %f", sum, -sum, sum)'),
  values('Kept[1] == Kept[1], Kept[1] < 1, math.max(Kept[1], 1), math.min(1, Kept[1]), math.floor(2^53 + 0.5), string.unpack("<d", string.pack("<d", Kept[2])), math.type(0/0), tostring(Sum)'),
  values('pcall(function () local t = {} t[0/0] = 1 end), pcall(table.sort, { 1, 0/0, 3, 2, 0/0, 5, 4 }), #Kept'),
  ...all.slice(20, 25),
  values('collectgarbage("count") > 0, Kept[8], Kept[9], #Packed')
]
const lists = { actions, light, floats, short: all.slice(0, 20) }
for (const m of lists[process.argv[2]] ?? all) process.stdout.write(JSON.stringify(m) + '\n')
