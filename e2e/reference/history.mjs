// A history of messages from a seed: what one would send to a few processes, and what goes wrong on the way.

// random gives a function like Math.random that depends on the seed alone (mulberry32).
export function random (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

// evals are Lua programs by kind; i numbers the message, pick chooses among other processes.
const evals = [
  i => `return ${i} + 1`,
  i => `x = (x or 0) + ${i}; return x`,
  () => 'return { 1, { a = "b" }, nil, 1/3, 2^53, -0.0, math.huge }',
  i => `local t = {} for i = 1, ${500 + i % 2000} do t[i] = (i * 7919) % 1009 end table.sort(t) return t[#t // 2]`,
  () => 'local n = 0 for k, v in pairs(_G) do n = n + #tostring(k) end return n',
  () => 'local keys = {} for k in pairs({ a = 1, b = 2, c = 3, [1.5] = 4, [true] = 5 }) do keys[#keys + 1] = tostring(k) end return table.concat(keys, ",")',
  i => `kept = kept or {} kept[#kept + 1] = string.rep("${i} ", 1000) return #kept`,
  () => 'kept = nil collectgarbage() return collectgarbage("count") > 0',
  i => `return require("json").encode({ n = ${i}, text = "\\u{1F600} \\u{2028} <&> \\"", list = { 1, 2, 3 } })`,
  () => 'return string.format("%.17g %5.3f %x %q", math.pi, 2 / 3, 255, "a\\nb")',
  () => 'return os.date("!%Y-%m-%d", 86400 * 365) .. " " .. os.time()',
  () => 'local co = coroutine.wrap(function (a) for i = 1, 3 do a = coroutine.yield(a * i) end return "end" end) return co(2), co(3), co(4), co(5)',
  () => 'return math.random(1000000), math.random()',
  () => 'return string.rep("x", 3000)',
  () => 'return ("the quick brown fox"):gsub("(%w+)", string.upper)',
  i => `Handlers.add("h${i % 7}", Handlers.utils.hasMatchingTag("Action", "Ping"), function (m) seen = (seen or 0) + ${i % 5} end) return seen`,
  i => `Handlers.remove("h${i % 7}") return #Handlers.list`,
  () => 'local ok, why = pcall(error, { code = 7 }) return ok, type(why), why.code',
  i => `print("said ${i}") print({ a = { b = ${i} } })`
]
const failures = [
  () => 'error("as asked")',
  () => 'error({ code = 1 })',
  () => 'this is no lua',
  () => 'local function f(n) return f(n + 1) + 1 end return f(1)',
  () => 'return nil + 1',
  () => 'x = (x or 0) + 1000; error("after a change")'
]
const sends = [
  (i, to) => `ao.send({ Target = "${to}", Action = "Ping", Data = "${i}" }) return "sent"`,
  (i, to) => `Send({ Target = "${to}", Action = "Ping", Data = string.rep("d", ${i % 300}), ["X-Number"] = "${i}" })`,
  (i, to) => `for i = 1, 3 do ao.send({ Target = "${to}", Tags = { Action = "Ping", N = tostring(i) } }) end return #ao.outbox.Messages`,
  (i, to) => `ao.send({ Target = "${'w'.repeat(43)}", Data = "to a wallet" })`
]

// drives are Lua programs that read through WeaveDrive: item is one that an attestor vouches for, height a block's. What nobody
// vouches for is not read: the reference answers 500 from then on.
const drives = [
  ({ item }) => `local f = io.open("/data/${item}") local s = f:read(f:seek("end")) f:close() return s`,
  ({ item }) => `local f = io.open("/data/${item}") local t = { f:read(10), f:read(7) } f:seek("set", 50) t[3] = f:read(20) f:close() return table.concat(t, "|")`,
  ({ item }) => `local f = io.open("/data/${item}") read = f:read(70000) f:close() return #read`,
  ({ item }) => `local f = io.open("/tx/${item}") local s = f:read(f:seek("end")) f:close() return s`,
  ({ height }) => `local f = io.open("/block/${height}") local s = f:read(f:seek("end")) f:close() return s`,
  () => 'return tostring(io.open("/headers/1")) .. tostring(io.open("/nothing/1")) .. tostring(io.open(""))'
]

// action gives the i-th thing to do: {kind, process, ...}. The processes are names; what they are called on the network is the
// caller's business.
export function action (i, next, processes) {
  const any = list => list[Math.floor(next() * list.length)]
  const process = any(processes)
  const other = any(processes)
  const chance = next()
  const evaluate = lua => ({ kind: 'eval', process, other, lua, tags: [] })
  if (chance < 0.46) return evaluate(any(evals)(i))
  if (chance < 0.56) return evaluate(any(failures)())
  if (chance < 0.68) return { ...evaluate(null), send: to => any(sends)(i, to) }
  if (chance < 0.74) return { kind: 'message', process, data: any(['', 'text', '\u2028<&>"\\ \u{1F600}', 'y'.repeat(20000)]), tags: [['Action', any(['Ping', 'Info', 'Nobody handles this'])], ['Näme', 'välue "\u2028']] }
  if (chance < 0.76) return { kind: 'binary', process }
  if (chance < 0.84) return { kind: 'copies', process, other, times: 1 + Math.floor(next() * 3) }
  if (chance < 0.91) return { kind: 'assign', process, other, exclude: any([undefined, undefined, ['Anchor', 'Signature'], ['Data', 'Anchor']]) }
  if (chance < 0.94) return { kind: 'assign again', process }
  if (chance < 0.95) return { kind: 'assign data', process }
  if (chance < 0.96) return { kind: 'assign transaction', process }
  if (chance < 0.97) return { kind: 'spawn', process }
  if (chance < 0.985) return { kind: 'drive', read: any(drives) }
  return { kind: 'endless', process }
}
