/** Plugins that mean harm, or are broken as plugins are: what each does, and how it must end. To add one is to add a row. */
import { faultsTell, processPages } from '#src/sandbox/watch/taken-pages.js'
import {
  grows,
  HANGS,
  HARD_TO_COMPILE,
  inShortTurns,
  KEEPS_BUFFERS,
  KEEPS_OBJECTS,
  KEEPS_OBJECTS_IN_ONE_TURN,
  KEEPS_UNCOUNTED,
  WITH_MEMORY,
} from '../support/offences.js'
import { pluginCode } from '../support/plugin-folder.js'
import { PORT_THIEF } from '../support/port-thief.js'
import type { Offender } from './arena.js'

/*
 * Where a row has more than one end, Node's version decides: 20 cannot look into a thread that does not come back, so what grows there
 * shows in the process alone or is found as a hang; and it follows causes in a circle.
 */

const WORKER_THREADS = "const { workerData, parentPort } = process.getBuiltinModule('node:worker_threads');"
/** Less than a machine that is busy can still ask for. */
const FEW_REQUESTS = { limits: { memory: 64, hang: 500, requests: 1_000, services: 100 } }

/** Subscribes with a pattern, a handler and options of each `i`; in one turn, or a hundred every few milliseconds. */
const bomb = (pattern: string, { handler = '() => {}', options = '{}', count = 9_000, overTime = false } = {}): string => `
  let i = 0
  const more = (most) => { for (let k = 0; k < most && i < ${count}; k++, i++) ctx.bus.subscribe(${pattern}, ${handler}, ${options}) }
  ${overTime ? 'setInterval(() => more(100), 5)' : `more(${count})`}`
/** For each `i` up to 480 another pattern that matches 'tick'. */
const ALL_OF_TICK = "'**.'.repeat(i % 16) + (i & 16 ? 'tick' : '*') + '.**'.repeat(i / 32)"
/** For each `i` up to 8192 another pattern of fourteen segments. */
const MANY_WAYS = "'top.a.b.c.d.e.f.g.h.i.j.k.l.m'.replace(/[a-m]/g, (segment) => (i >> (segment.charCodeAt(0) - 97)) & 1 ? '*' : segment)"
const LIMITS_OF_BOMBS = { memory: 64, hang: 5_000 }
/** What never comes back is never too early to end. */
const SOON = { limits: { memory: 64, hang: 250 } }
/** Nor is what never gets beyond the phase whose time this is. */
const soon = (phase: 'loadTimeout' | 'initializeTimeout' | 'startTimeout'): Record<string, unknown> => ({
  limits: { memory: 64, hang: 500, loadTimeout: 2_000, initializeTimeout: 2_000, startTimeout: 2_000, [phase]: 500 },
})
/** A schema by which the smallest configuration is looked at more than a thousand million times. */
const DOUBLING = {
  $ref: '#/definitions/of0',
  definitions: {
    ...Object.fromEntries(
      Array.from({ length: 30 }, (_, i) => [
        `of${i}`,
        { allOf: [{ $ref: `#/definitions/of${i + 1}` }, { $ref: `#/definitions/of${i + 1}` }] },
      ]),
    ),
    of30: { type: 'object' },
  },
}
/** Takes its wire by what it was granted, and sends so many of these frames in one turn; `at` is in scope. */
const withItsWire = (frame: string, count = 1e5, together = 100): Pick<Offender, 'act' | 'manifest'> => ({
  // Who is called by it has it at hand.
  act: `ctx.bus.subscribe('own', () => {
      const wire = process.getBuiltinModule('node:async_hooks').executionAsyncResource()
      for (let at = 1; at <= ${count}; ) {
        const batch = []
        for (const end = at + ${together}; at < end; at++) batch.push(...${frame})
        wire.postMessage(batch)
      }
    })
    void ctx.bus.publish('own')`,
  manifest: {
    limits: FEW_REQUESTS.limits,
    permissions: [
      { resource: 'builtin:async_hooks', actions: ['import'] },
      { resource: 'bus:**', actions: ['publish', 'subscribe'] },
    ],
  },
})
/** Tries to take it by what it was not. */
const STORAGE_THIEF = `
  const { AsyncLocalStorage } = process.getBuiltinModule('node:async_hooks')
  const storage = new AsyncLocalStorage()
  const take = (...all) => { for (const one of all) if (one instanceof MessagePort) one.postMessage(null) }
  AsyncLocalStorage.prototype._propagate = storage._propagate = take
  ctx.bus.subscribe('own', () => { storage.enterWith({}); setTimeout(() => {}, 1) })
  void ctx.bus.publish('own')`

/** Node keeps them in the objects themselves, and looks at them when one is done. */
const NO_NUMBERS = `
  for (const timer of [setTimeout(() => {}, 1), setImmediate(() => {})])
    timer[Object.getOwnPropertySymbols(timer).find(({ description }) => description === 'asyncId')] = NaN`

export const OFFENDERS: Offender[] = [
  // ── never coming back ──────────────────────────────────────────────────────────────────────────────────────────
  { does: 'loops for ever', act: HANGS['in a loop'], manifest: SOON, end: 'hang' },
  { does: 'resolves promises for ever', act: HANGS['in promises'], end: 'memory or hang' },
  { does: 'calls nextTick for ever', act: 'const f = () => process.nextTick(f); f()', manifest: SOON, end: 'hang' },
  {
    does: 'publishes in promises for ever',
    heavy: true,
    act: "const f = () => ctx.bus.publish('x').catch(() => {}).then(f); f()",
    end: 'memory or hang',
    // Its chain of promises takes a second of a processor to reach the limit, and several where others compute.
    within: 15_000,
  },
  { does: 'backtracks in a regular expression', act: HANGS['in a regular expression'], manifest: SOON, end: 'hang' },
  {
    does: 'waits in Atomics.wait',
    act: HANGS['in Atomics.wait'],
    manifest: SOON,
    end: 'hang',
  },
  { does: 'loops when it exits', act: "process.on('exit', () => { for (;;); }); for (;;);", manifest: SOON, end: 'hang' },
  { does: 'loops in a finally', act: 'try { throw 1 } finally { for (;;); }', manifest: SOON, end: 'hang' },
  {
    does: 'throws what loops when it is read',
    act: 'throw { get stack() { for (;;); }, get message() { for (;;); } }',
    manifest: SOON,
    end: 'hang',
  },
  {
    does: 'loops in WebAssembly',
    act: `new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,9,1,7,0,3,64,12,0,11,11]))).exports.f()`,
    manifest: SOON,
    end: 'hang',
  },
  {
    does: 'parses for ever in native code',
    act: "const text = '[' + '[1,2,3],'.repeat(4e5) + '1]'; for (const end = Date.now() + 4e3; Date.now() < end; ) JSON.parse(text)",
    end: 'memory or hang',
  },
  { does: 'recurses without an end, and again', act: 'const f = () => f(); for (;;) try { f() } catch {}', manifest: SOON, end: 'hang' },
  {
    does: 'fills the event loop with short work',
    act: inShortTurns(3),
    end: null,
  },

  // ── never being done ───────────────────────────────────────────────────────────────────────────────────────────
  {
    does: 'awaits for ever at its top level',
    code: 'await new Promise(() => {})\nexport default { start() {} }',
    manifest: soon('loadTimeout'),
    end: 'PLUGIN_TIMEOUT',
  },
  {
    does: 'loops at its top level',
    code: 'for (;;);\nexport default { start() {} }',
    manifest: soon('loadTimeout'),
    end: 'PLUGIN_TIMEOUT',
  },
  {
    does: 'never ends its initialize',
    code: pluginCode({ initialize: 'await new Promise(() => {})' }),
    manifest: soon('initializeTimeout'),
    end: 'PLUGIN_TIMEOUT',
  },
  {
    does: 'never ends its start',
    code: pluginCode({ start: 'await new Promise(() => {})' }),
    manifest: soon('startTimeout'),
    end: 'PLUGIN_TIMEOUT',
  },
  { does: 'loops in its start', code: pluginCode({ start: 'for (;;);' }), manifest: soon('startTimeout'), end: 'PLUGIN_TIMEOUT' },
  { does: 'throws at its top level', code: 'throw new Error("bad")', end: 'PLUGIN_LOAD' },
  {
    does: 'has a proxy as its default export',
    code: 'export default new Proxy({}, { get() { throw new Error("no") } })',
    end: 'PLUGIN_LOAD',
  },

  // ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────────
  { does: 'keeps objects', act: KEEPS_OBJECTS, end: 'memory or hang' },
  { does: 'keeps objects in one turn', heavy: true, act: KEEPS_OBJECTS_IN_ONE_TURN, end: 'memory or hang' },
  {
    does: 'fills one large array',
    heavy: true,
    act: 'globalThis.kept = new Array(3e7).fill(0).map((_, i) => ({ i }))',
    end: 'memory or hang',
  },
  { does: 'fills a Map', act: 'globalThis.kept = new Map(); for (let i = 0; ; i++) kept.set(i, { i })', end: 'memory or hang' },
  {
    does: 'spreads a long text',
    heavy: true,
    act: "globalThis.kept = []; for (;;) kept.push([...'x'.repeat(1e7)])",
    end: 'memory or hang',
  },
  {
    does: 'splits a long text',
    heavy: true,
    act: "globalThis.kept = []; for (;;) kept.push('x,'.repeat(1e7).split(','))",
    end: 'memory or hang',
  },
  {
    does: 'parses much JSON and keeps it',
    act: "globalThis.kept = []; for (;;) kept.push(JSON.parse('[' + '[1,[2,[3]]],'.repeat(1e6) + '1]'))",
    end: 'memory or hang',
  },
  { does: 'sets two million timers', heavy: true, act: 'for (let i = 0; i < 2e6; i++) setTimeout(() => {}, 1e9)', end: 'memory or hang' },
  {
    does: 'keeps closures',
    act: grows('for (let i = 0; i < 2e4; i++) { const big = [i, i, i, i]; kept.push(() => big) }'),
    end: 'memory or hang',
  },
  { does: 'keeps promises', act: grows('for (let i = 0; i < 2e4; i++) kept.push(new Promise(() => {}))'), end: 'memory or hang' },
  { does: 'keeps buffers', act: KEEPS_BUFFERS, end: 'memory or hang' },
  {
    does: 'keeps array buffers in one turn',
    heavy: true,
    act: 'globalThis.kept = []; for (;;) kept.push(new Uint8Array(1e6).fill(1))',
    end: 'memory or hang',
  },
  // Where the system tells what is reserved. Where the watchdog comes late, on a machine that is busy, Node 26 ends the thread itself.
  ...(processPages() === undefined
    ? []
    : [
        {
          does: 'makes memories of WebAssembly without an end',
          heavy: true,
          act: `const kept = globalThis.kept = [], module = new WebAssembly.Module(${WITH_MEMORY}); for (;;) try { kept.push(new WebAssembly.Instance(module)) } catch {}`,
          end: 'crash or memory' as const,
        },
        {
          does: 'makes memories of WebAssembly without an end in a task',
          heavy: true,
          task: `const kept = globalThis.kept = [], bytes = ${WITH_MEMORY}; for (;;) try { kept.push(await WebAssembly.instantiate(bytes)) } catch {}`,
          end: 'crash or memory' as const,
        },
      ]),
  // Where the system tells who takes memory.
  ...(processPages() !== undefined && faultsTell()
    ? Object.entries(KEEPS_UNCOUNTED).map(([what, act]): Offender => ({ does: `keeps ${what}`, heavy: true, act, end: 'memory' }))
    : []),
  // Each by itself is over too soon to be found.
  ...Object.entries(HARD_TO_COMPILE).map(
    ([kind, act]): Offender => ({ does: `calls functions ${kind} that are hard to compile`, heavy: true, act, end: 'memory or hang' }),
  ),
  {
    does: 'throws an error with a very long message',
    heavy: true,
    act: "throw new Error('x'.repeat(2e8))",
    end: 'crash or memory or hang',
  },
  {
    does: 'makes much garbage',
    act: 'const f = () => { globalThis.kept = Array.from({ length: 5e4 }, (_, i) => ({ i })); setTimeout(f, 5) }; f()',
    end: null,
  },

  // ── floods ─────────────────────────────────────────────────────────────────────────────────────────────────────
  {
    does: 'publishes as fast as it may',
    heavy: true,
    act: "const f = async () => { for (;;) await Promise.all(Array.from({ length: 100 }, () => ctx.bus.publish('noise', 'x'.repeat(100)))).then(() => new Promise(setImmediate)) }; f()",
    end: null,
  },
  {
    does: 'publishes without waiting',
    heavy: true,
    act: "const f = () => { for (let i = 0; i < 1e4; i++) ctx.bus.publish('noise', 'x'.repeat(100)); setImmediate(f) }; f()",
    end: 'crash or memory or hang',
  },
  {
    does: 'logs without an end',
    heavy: true,
    act: "const f = () => { for (let i = 0; i < 1e3; i++) ctx.log.info('x'.repeat(1e3), { i }); setImmediate(f) }; f()",
    end: null,
  },
  {
    does: 'logs large fields without an end',
    heavy: true,
    act: "const many = Object.fromEntries(Array.from({ length: 2e4 }, (_, i) => ['k' + i, { v: i }])); const f = () => { ctx.log.info('x', many); setImmediate(f) }; f()",
    end: null,
  },
  {
    does: 'logs fields that are small until they are written',
    heavy: true,
    act: "let twice = []; for (let i = 0; i < 40; i++) twice = [twice, twice]; const f = () => { ctx.log.info('x', { twice }); ctx.log.info('x', { holes: Object.assign([], { length: 2 ** 32 - 1 }) }); setImmediate(f) }; f()",
    end: null,
  },
  {
    does: 'calls a service with large arguments and does not wait',
    heavy: true,
    // More than the provider may have: what it would be filled with fills the caller.
    manifest: { limits: { memory: 512, hang: 2_000 } },
    act: "void ctx.services.use('innocent', { timeout: 0 }).then((innocent) => setInterval(() => { for (let i = 0; i < 4; i++) innocent.hold(new Uint8Array(1e6)).catch(() => {}) }, 15))",
    end: 'memory',
    within: 30_000,
  },
  {
    does: 'calls a service with one enormous argument',
    heavy: true,
    act: "void ctx.services.use('innocent').then((innocent) => innocent.hold('x'.repeat(5e8)).catch(() => {}))",
    end: null,
  },
  {
    does: 'calls a service with half a million small objects',
    heavy: true,
    manifest: { limits: { memory: 256, hang: 5_000 } },
    act: "const many = Array.from({ length: 5e5 }, (_, i) => ({ i })); void ctx.services.use('innocent').then((innocent) => innocent.hold(many).catch(() => {}))",
    end: null,
  },
  {
    does: 'calls a service over thirty lines at once',
    heavy: true,
    manifest: { limits: { memory: 256, hang: 5_000 } },
    act: "const text = 'x'.repeat(1e6); const use = (_, i) => ctx.services.use('innocent', { range: '>0.0.' + i, timeout: 0 }); void Promise.all(Array.from({ length: 30 }, use)).then((lines) => { for (const line of lines) for (let i = 0; i < 8; i++) line.hold(text).catch(() => {}) })",
    end: null,
  },
  {
    does: 'opens streams as long as it may and reads none',
    heavy: true,
    manifest: { limits: { memory: 256, hang: 5_000 } },
    act: "globalThis.kept = []; void ctx.services.use('innocent', { timeout: 0 }).then(async (innocent) => { for (;;) kept.push(await innocent.list()) }).catch(() => {})",
    end: null,
  },
  {
    does: 'asks a stream for three hundred thousand items at once',
    heavy: true,
    manifest: { limits: { memory: 1_024, hang: 5_000 } },
    act: "void ctx.services.use('innocent').then((innocent) => innocent.list()).then((items) => { for (let i = 0; i < 3e5; i++) items.next().catch(() => {}) })",
    end: null,
  },
  {
    does: 'passes a new callback with call after call',
    heavy: true,
    manifest: { limits: { memory: 256, hang: 5_000 } },
    act: "void ctx.services.use('innocent', { timeout: 0 }).then(async (innocent) => { for (;;) await innocent.each(() => {}) }).catch(() => {})",
    end: null,
  },
  {
    does: 'writes to its console without an end',
    heavy: true,
    act: "const f = () => { for (let i = 0; i < 1e3; i++) console.log('x'.repeat(1e3)); setImmediate(f) }; f()",
    end: null,
  },
  {
    does: 'writes much to standard output',
    heavy: true,
    act: "for (let i = 0; i < 5e3; i++) process.stdout.write('x'.repeat(1e3) + '\\n')",
    end: null,
  },
  {
    does: 'publishes dictionaries of fifteen thousand names, as many as it may',
    heavy: true,
    manifest: { limits: { memory: 256, hang: 5_000 } },
    act: `const wide = (k) => Object.fromEntries(Array.from({ length: 15_000 }, (_, i) => ['k' + k + '_' + i, i]))
      const all = Array.from({ length: 20 }, (_, k) => wide(k))
      setInterval(() => { for (const one of all) ctx.bus.publish('noise', one).catch(() => {}) }, 200)`,
    end: null,
  },
  {
    does: 'publishes hundreds of small objects of which no two are alike, as many as it may',
    heavy: true,
    manifest: { limits: { memory: 256, hang: 5_000 } },
    act: `const list = (length, make) => Array.from({ length }, (_, i) => make(i))
      const unlike = (k) => list(250, (i) => Object.fromEntries(list(60, (j) => ['k' + k + '_' + i + '_' + j, j])))
      const all = list(10, unlike)
      setInterval(() => { for (const one of all) ctx.bus.publish('noise', one).catch(() => {}) }, 200)`,
    end: null,
  },
  { does: 'posts a very large event', heavy: true, act: "ctx.bus.publish('noise', 'x'.repeat(5e7)).catch(() => {})", end: null },
  {
    does: 'subscribes as often as it may',
    heavy: true,
    manifest: { limits: { memory: 64, hang: 5_000 } },
    act: "for (let i = 1; i < 1e4; i++) ctx.bus.subscribe('quiet.' + i, () => {})",
    end: null,
  },
  {
    does: 'subscribes more often than it may',
    heavy: true,
    manifest: { limits: { memory: 64, hang: 5_000, subscriptions: 1_000 } },
    act: "for (let i = 0; i < 2e4; i++) ctx.bus.subscribe('quiet.' + i, () => {})",
    end: 'crash',
  },
  {
    does: 'subscribes 9,000 times to everything',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: bomb("'**'"),
    end: null,
  },
  {
    does: 'subscribes 9,000 times to one topic, bit by bit',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: bomb("'tick'", { handler: 'async () => {}', overTime: true }),
    end: null,
  },
  {
    does: 'subscribes 9,000 times to everything, and never finishes',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: bomb("'**'", { handler: '() => new Promise(() => {})' }),
    end: 'memory or hang',
    within: 20_000,
  },
  {
    does: 'subscribes to hundreds of patterns that match one topic',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: bomb(ALL_OF_TICK, { count: 480 }),
    end: 'overlap',
  },
  {
    does: 'subscribes to such patterns bit by bit, and never finishes',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: bomb(ALL_OF_TICK, { count: 480, overTime: true, handler: '() => new Promise(() => {})' }),
    end: 'overlap',
  },
  {
    does: 'subscribes to 9,000 patterns of its own and exits',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: `${bomb("'quiet.*.' + i")}; setTimeout(() => process.exit(1), 1000)`,
    end: 'crash',
    within: 10_000,
  },
  {
    does: 'subscribes to everything with 9,000 capacities',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: bomb("'**'", { options: '{ capacity: i + 1 }' }),
    end: 'overlap',
  },
  {
    does: 'publishes on new topics that 8,000 of its patterns nearly match',
    heavy: true,
    manifest: { limits: LIMITS_OF_BOMBS },
    act: `${bomb(MANY_WAYS, { count: 8_192 })}
      let n = 0
      setInterval(() => ctx.bus.publish('top.a.b.c.d.e.f.g.h.i.j.k.l.m' + ++n).catch(() => {}), 5)`,
    end: 'overlap',
  },
  {
    does: 'subscribes and unsubscribes without an end',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "const f = () => { for (let i = 0; i < 1e3; i++) ctx.bus.subscribe('quiet', () => {}).unsubscribe(); setImmediate(f) }; f()",
    end: 'requests',
  },
  {
    does: 'subscribes and unsubscribes in one turn',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "for (;;) ctx.bus.subscribe('quiet', () => {}).unsubscribe()",
    end: 'requests or memory or hang',
  },
  {
    does: 'watches services and stops, again and again',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "const f = () => { for (let i = 0; i < 100; i++) ctx.services.watch('quiet', () => {}).then((watch) => watch.stop()).catch(() => {}); setImmediate(f) }; f()",
    end: 'requests or memory or hang',
  },
  {
    does: 'uses a service again and again',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "let n = 0; const f = () => { for (let i = 0; i < 100; i++) ctx.services.use('innocent', { range: '>0.0.' + ++n }).catch(() => {}); setImmediate(f) }; f()",
    end: 'requests or memory or hang',
  },
  {
    does: 'provides and withdraws without waiting',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "const f = () => { for (let i = 0; i < 100; i++) ctx.services.provide('mine' + i, { f() {} }).then((mine) => mine.withdraw()).catch(() => {}); setImmediate(f) }; f()",
    end: 'requests or memory or hang',
  },
  {
    does: 'asks for services whose names are like those of many others',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "for (let i = 0; i < 90; i++) ctx.services.provide('the-service-of-house-' + i, { f() {} }).catch(() => {}); let n = 0; const f = () => { for (let i = 0; i < 100; i++) ctx.services.use('a-service-for-mouse-' + ++n, { wait: 0 }).catch(() => {}); setImmediate(f) }; f()",
    end: 'requests or memory or hang',
  },
  {
    does: 'withdraws and provides a service that it uses in many ranges',
    heavy: true,
    manifest: FEW_REQUESTS,
    act: "const methods = Object.fromEntries(Array.from({ length: 100 }, (_, i) => ['method' + i, () => {}])); const flap = async () => { let mine = await ctx.services.provide('mine', methods); for (let i = 0; i < 32; i++) await ctx.services.use('mine', { range: '>=0.0.' + i }); for (;;) { await mine.withdraw(); mine = await ctx.services.provide('mine', methods) } }; flap().catch(() => {})",
    end: 'requests or memory or hang',
  },
  {
    does: 'gives names, versions, ranges and methods of a hundred thousand letters',
    act: "const long = 'a'.repeat(1e5); for (let i = 0; i < 50; i++) { ctx.services.provide(long + i, {}).catch(() => {}); ctx.services.provide('a', {}, { version: '1.0.0-' + long }).catch(() => {}); ctx.services.provide('a', { [long]() {} }).catch(() => {}); ctx.services.use(long + i).catch(() => {}); ctx.services.use('innocent', { range: '>=0.0.1 || '.repeat(1e4) + i }).catch(() => {}) }",
    end: null,
  },
  {
    does: 'provides a service of twenty thousand methods',
    act: "const methods = Object.fromEntries(Array.from({ length: 2e4 }, (_, i) => ['method' + i, () => {}])); for (let i = 0; i < 5; i++) ctx.services.provide('mine' + i, methods).catch(() => {})",
    end: null,
  },
  {
    does: 'has a manifest whose pattern never comes to an end',
    heavy: true,
    code: pluginCode({ start: '' }),
    manifest: {
      config: { schema: { properties: { x: { pattern: '^(a+)+$' } } }, defaults: { x: `${'a'.repeat(40)}!` } },
    },
    end: 'MANIFEST_INVALID',
  },
  {
    does: 'has a manifest whose references double at each step',
    heavy: true,
    code: pluginCode({ start: '' }),
    manifest: { config: { schema: DOUBLING } },
    end: 'MANIFEST_INVALID',
  },
  {
    does: 'asks for a thousand files without waiting',
    heavy: true,
    act: "for (let i = 0; i < 1e3; i++) ctx.fs.writeFile('f' + i, 'x').catch(() => {})",
    end: null,
  },
  {
    does: 'provides a thousand services',
    heavy: true,
    act: "for (let i = 0; i < 1e3; i++) ctx.services.provide('s' + i, { f() {} }).catch(() => {})",
    end: null,
  },
  { does: 'fails in every handler', heavy: true, act: "ctx.bus.subscribe('tick', () => { throw new Error('no') })", end: null },
  {
    does: 'never finishes a handler of many events',
    act: "ctx.bus.subscribe('noise', () => new Promise(() => {})); for (let i = 0; i < 500; i++) ctx.bus.publish('noise')",
    end: null,
  },

  // ── endings ────────────────────────────────────────────────────────────────────────────────────────────────────
  { does: 'exits', act: 'process.exit(3)', end: 'crash' },
  { does: 'exits the deep way', act: 'process.reallyExit(3)', end: 'crash' },
  { does: 'aborts', act: 'process.abort()', end: 'crash' },
  { does: 'throws in a timer', act: "setTimeout(() => { throw new Error('late') }, 1)", end: 'crash' },
  { does: 'rejects without a handler', act: "void Promise.reject(new Error('no'))", end: 'crash' },
  { does: 'throws null', act: 'throw null', end: 'crash' },
  { does: 'throws a proxy', act: "throw new Proxy({}, { get() { throw new Error('no') }, ownKeys() { throw 1 } })", end: 'crash' },
  { does: 'throws a function', act: 'throw () => {}', end: 'crash' },
  {
    does: 'rejects with itself as its cause',
    act: "const error = new Error('round'); error.cause = error; void Promise.reject(error)",
    end: 'crash or memory or hang',
  },
  { does: 'overflows the stack', act: 'const f = () => f(); f()', end: 'crash' },
  {
    does: 'swallows its uncaught errors',
    act: "process.on('uncaughtException', () => {}); setInterval(() => { throw new Error('again') }, 5)",
    end: null,
  },
  {
    does: 'crashes again and again',
    code: pluginCode({ start: 'setImmediate(() => process.exit(1))' }),
    manifest: { restart: { max: 3, backoff: { initial: 1, max: 5, factor: 1 } } },
    end: 'PLUGIN_CRASH_LOOP',
  },
  {
    does: 'hangs again and again',
    code: pluginCode({ start: 'setImmediate(() => { for (;;); })' }),
    manifest: { restart: { max: 2, backoff: { initial: 1, max: 5, factor: 1 } }, limits: { hang: 250 } },
    end: 'PLUGIN_CRASH_LOOP',
  },

  // ── natives ────────────────────────────────────────────────────────────────────────────────────────────────────
  { does: 'gives its timers numbers that are none', act: NO_NUMBERS, end: null },
  {
    does: 'gives its timers numbers that are none in a task',
    task: `${NO_NUMBERS}; await new Promise((done) => setTimeout(done, 50)); throw new Error('done')`,
    end: null,
  },
  {
    does: 'waits for ever so often that its thread takes long to end',
    act: `const memory = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer)
      for (let i = 0; i < 2e5; i++) Atomics.waitAsync(memory, 0, 0)`,
    end: 'PERMISSION_DENIED',
  },

  // ── forgeries ──────────────────────────────────────────────────────────────────────────────────────────────────
  {
    does: 'forges messages on the port of its standard output',
    act: "const port = Object.getOwnPropertySymbols(process.stdout).find((symbol) => symbol.description === 'kPort'); for (const forged of [{ type: 'bogus' }, null, 1, { type: 'stdioPayload' }, { type: 'errorMessage' }]) process.stdout[port].postMessage(forged)",
    end: 'crash',
  },
  {
    does: "asks for the kernel's wire",
    act: `${WORKER_THREADS} workerData.port.postMessage('nonsense')`,
    end: 'PERMISSION_DENIED or crash',
  },
  {
    does: "asks for the kernel's wire where it may have workers",
    act: `${WORKER_THREADS} workerData.port.close()`,
    manifest: { permissions: [{ resource: 'worker', actions: ['use'] }] },
    end: 'crash',
  },
  {
    does: 'posts to its parent where it may have workers',
    act: `${WORKER_THREADS} parentPort.postMessage('x')`,
    manifest: { permissions: [{ resource: 'worker', actions: ['use'] }] },
    end: 'crash',
  },
  { does: "imports what Node's loader is made of", act: "void import('internal/modules/esm/loader')", end: 'PERMISSION_DENIED or crash' },
  { does: 'kills the process', act: 'process.kill(process.pid)', end: 'PERMISSION_DENIED or crash' },
  {
    does: 'poisons Array.prototype',
    act: "Array.prototype.push = () => { throw new Error('poison') }; Array.prototype.map = null",
    end: null,
  },
  {
    does: 'poisons Promise.prototype',
    act: 'try { Promise.prototype.then = () => { for (;;); } } catch {}; void (async () => { await 1 })()',
    end: null,
  },
  {
    does: 'poisons Object.prototype',
    act: "Object.prototype.get = 1; Object.prototype.code = 'PROTOCOL'; Object.prototype.plugin = 'observer'",
    end: null,
  },
  // ── in a task ──────────────────────────────────────────────────────────────────────────────────────────────────
  { does: 'loops for ever in a task', task: 'for (;;);', end: null },
  { does: 'never answers in a task', task: 'await new Promise(() => {})', end: null },
  {
    does: 'keeps objects in one turn of a task',
    heavy: true,
    task: 'const kept = []; for (;;) kept.push({ at: kept.length })',
    end: 'memory',
  },
  {
    does: 'fills one large array in a task',
    heavy: true,
    task: 'globalThis.kept = new Array(3e7).fill(0).map((_, i) => ({ i })); for (;;);',
    end: 'memory',
  },
  { does: 'keeps buffers in a task', task: 'globalThis.kept = []; for (;;) kept.push(new Uint8Array(1e6).fill(1))', end: 'memory' },
  { does: 'kills the process in a task', task: 'process.kill(process.pid)', end: 'PERMISSION_DENIED' },
  {
    does: 'starts children in a task',
    task: "(await import('node:child_process')).execFileSync('kill', [String(process.pid)])",
    end: 'PERMISSION_DENIED',
  },
  {
    does: 'forges messages on the port of the standard output of a task',
    task: "const port = Object.getOwnPropertySymbols(process.stdout).find((symbol) => symbol.description === 'kPort'); for (const forged of [{ type: 'bogus' }, null, 1]) process.stdout[port].postMessage(forged)",
    end: null,
  },
  {
    does: 'posts to its parent in a task where it may have workers',
    task: `${WORKER_THREADS} parentPort.postMessage(null)`,
    manifest: { permissions: [{ resource: 'worker', actions: ['use'] }] },
    end: null,
  },
  {
    does: "posts on the wires of its task's thread by a changed prototype",
    task: `if (globalThis.stolen) for (const port of globalThis.stolen) port.postMessage(null)\n${PORT_THIEF}`,
    act: "for (let i = 0; i < 20; i++) ctx.tasks.run('offend').catch(() => {})",
    end: null,
  },
  { does: 'exits in a task', task: 'process.exit(3)', end: null },
  // Late enough for the answer to be heard first: otherwise it is the run that fails, and whoever called it is told.
  { does: 'throws after a task was answered', task: "setTimeout(() => { throw new Error('late') }, 200)", end: 'TASK_FAILED' },
  { does: 'answers what cannot be cloned from a task', task: 'return { f() {} }', end: null },
  { does: 'writes to its console without an end in a task', heavy: true, task: "for (;;) console.log('x'.repeat(1e3))", end: null },
  {
    does: 'poisons what all tasks use in a task',
    task: 'Object.prototype.taskId = -1; try { Promise.prototype.then = () => { for (;;); } } catch {}; Array.prototype.concat = null; Map.prototype.get = null',
    end: null,
  },

  {
    does: 'says how its objects are cloned: by a module that ends Node',
    act: `
      const symbols = Object.getOwnPropertySymbols(Blob.prototype).filter(({ description }) => description === 'messaging_clone_symbol')
      const evil = (module, prototype) => {
        const blob = new Blob(['x'])
        for (const symbol of symbols) Object.defineProperty(blob, symbol, { value: () => ({ data: {}, deserializeInfo: module + ':x' }) })
        return Object.setPrototypeOf(blob, prototype)
      }
      const all = async () => {
        const innocent = await ctx.services.use('innocent')
        for (const module of ['internal/deps/v8/tools/arguments', 'internal/v8_prof_processor'])
          for (const prototype of [Blob.prototype, Object.prototype]) {
            const tries = [
              (value) => ctx.bus.publish('other', value), (value) => ctx.log.info('x', { value }), (value) => innocent.echo(value),
              (value) => structuredClone(value), (value) => performance.mark('x', { detail: value }), (value) => ctx.bus.publish('hello', new Map([[1, value]])),
            ]
            for (const way of tries) try { await way(evil(module, prototype)) } catch {}
          }
      }
      void all()`,
    end: null,
  },
  { does: 'publishes in the name of the kernel', act: "ctx.bus.publish('kernel.plugin.fault', { name: 'observer' })", end: 'crash' },

  // ── with its wire in its hands ─────────────────────────────────────────────────────────────────────────────────
  {
    does: 'looks for its wire by AsyncLocalStorage',
    act: STORAGE_THIEF,
    end: null,
  },
  { does: 'publishes past its window', heavy: true, ...withItsWire("[132, 'publish', 'x', '0', 1]"), end: 'PROTOCOL' },
  { does: 'publishes on what is no topic', heavy: true, ...withItsWire("[132, 'publish', 'x'.repeat(300), '0', 1]"), end: 'PROTOCOL' },
  {
    does: 'answers what nobody asked, with large errors',
    heavy: true,
    ...withItsWire("[3, 12345, '', '0', { name: 'Error', message: 'x'.repeat(1e4) }]", 1e4),
    end: 'PROTOCOL',
  },
  {
    does: 'cancels what it never asked for',
    heavy: true,
    ...withItsWire("[5, 12345, '', '0', { name: 'Error', message: 'x' }]"),
    end: 'PROTOCOL',
  },
  {
    does: 'tells of its memory without an end',
    // Who is late is asked for a sign of life, and is called by that wire.
    act: `const { createHook, executionAsyncResource } = process.getBuiltinModule('node:async_hooks')
      const wires = new Set(), told = new Map(Array.from({ length: 400 }, (_, i) => ['k' + i, { ['x' + i]: i }]))
      const before = () => {
        const wire = executionAsyncResource()
        if (!(wire instanceof MessagePort) || wires.has(wire)) return
        wires.add(wire)
        wire.on('message', (ask) => { if (ask === 'collect') for (;;) wire.postMessage(told) })
      }
      createHook({ before }).enable()
      const late = setInterval(() => { for (const end = performance.now() + 100; performance.now() < end; ); }, 20)
      setTimeout(() => { clearInterval(late); globalThis.kept = []; setInterval(() => kept.push(new Uint8Array(1e6).fill(1)), 8) }, 500)`,
    manifest: { limits: FEW_REQUESTS.limits, permissions: [{ resource: 'builtin:async_hooks', actions: ['import'] }] },
    heavy: true,
    end: 'memory or PROTOCOL',
  },
  { does: 'asks for files by what is no request', heavy: true, ...withItsWire("[1, at, 'file', '0', null]"), end: 'requests' },
  { does: 'asks for tasks by what is no request', heavy: true, ...withItsWire("[1, at, 'task', '0', null]"), end: 'requests' },
  {
    does: 'puts a hundred thousand frames in one message',
    heavy: true,
    ...withItsWire("[4, 'nonsense', '0', 1]", 1e5, 1e5),
    end: 'PROTOCOL',
  },
  // What a thread does not stop, as its page says: Node has built it before anybody can look, and the kernel's thread waits.
  {
    does: 'posts half a million objects in one message',
    heavy: true,
    ...withItsWire("[4, 'nonsense', '0', Array.from({ length: 5e5 }, (_, i) => ({ i }))]", 1, 1),
    manifest: { ...withItsWire('[]').manifest, limits: { memory: 512, hang: 5_000 } },
    end: null,
  },
  {
    does: 'sends lines of the log past its own end',
    heavy: true,
    // Of more its own memory would run out now and then, before anything else does.
    ...withItsWire("[260, 'log', 'info', 'x'.repeat(1000), '0', null]", 2e4),
    end: null,
  },
  {
    does: 'writes objects of three bytes each to its descriptor, millions of them',
    heavy: true,
    act: `
      const { serialize } = process.getBuiltinModule('node:v8')
      const { writeSync } = process.getBuiltinModule('node:fs')
      const body = serialize([4, 'nonsense', '0', Array.from({ length: 4e5 }, () => ({}))])
      const head = Buffer.alloc(8)
      head.writeUInt32LE(body.length + 4)
      for (let rest = Buffer.concat(Array(10).fill([head, body]).flat()); rest.length > 0; )
        try { rest = rest.subarray(writeSync(3, rest)) } catch (error) { if (error.code !== 'EAGAIN') throw error }`,
    manifest: {
      isolation: 'process',
      limits: { memory: 512, hang: 4_000 },
    },
    end: 'PROTOCOL',
  },
]
