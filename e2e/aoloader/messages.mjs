// Prints the messages of the comparison, one JSON line each.
//   node messages.mjs > messages.jsonl
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
  values('debug.traceback("here"), select("#", table.unpack({}, 1, 100))')
]
const actions = ['echo', 'inc', 'inc', 'Date', 'Random', 'echo', 'Directory', 'inc', 'Memory', 'inc', 'loop for ever', 'inc', 'Assignment', 'echo']
  .map((action, i) => message(owner, { Type: 'Message', Action: action }, `data ${i}: é 漢字 🙂 ${'x'.repeat(i * 997)}`))
for (const m of process.argv[2] === 'actions' ? actions : all) process.stdout.write(JSON.stringify(m) + '\n')
