/** Calls each function of its realm that it reaches by itself, in many a wrong way. Begins at `from`, and tells of each before it does. */

/** They end the thread when they are called rightly. */
const ENDS = /(^|\.)(exit|reallyExit|abort|_exiting|kill)$/
/** From each object so far. */
const DEEPEST = 7

const builtin = process.getBuiltinModule
const MODULES =
  `assert async_hooks buffer console constants diagnostics_channel events module path perf_hooks process punycode querystring readline readline/promises stream
  stream/consumers stream/promises stream/web string_decoder timers timers/promises url util util/types _stream_duplex _stream_readable _stream_writable _stream_transform
  _stream_passthrough`.split(/\s+/)

/** What is found through no module and no global, or is better asked with something in it. */
const MADE = {
  histogram: () => builtin('node:perf_hooks').createHistogram(),
  window: () => builtin('node:perf_hooks').createSlidingWindowHistogram({ chunks: 1, recordsPerChunk: 1 }),
  delay: () => builtin('node:perf_hooks').monitorEventLoopDelay(),
  observer: () => new PerformanceObserver(() => {}),
  mark: () => performance.mark('a'),
  channel: () => new MessageChannel(),
  blob: () => new Blob(['abc']),
  blobStream: () => new Blob(['abc']).stream(),
  file: () => new File(['abc'], 'x'),
  utf16: () => new TextDecoder('utf-16le'),
  gbk: () => new TextDecoder('gbk'),
  encoder: () => new TextEncoder(),
  strings: () => new (builtin('node:string_decoder').StringDecoder)('utf8'),
  controller: () => new AbortController(),
  timeoutSignal: () => AbortSignal.timeout(1e6),
  byteStream: () => new ReadableStream({ type: 'bytes' }),
  transform: () => new TransformStream(),
  timeout: () => setTimeout(() => {}, 1e6),
  immediate: () => setImmediate(() => {}),
  resource: () => new (builtin('node:async_hooks').AsyncResource)('X'),
  storage: () => new (builtin('node:async_hooks').AsyncLocalStorage)(),
  request: () => new Request('http://x/', { method: 'POST', body: 'x' }),
  response: () => new Response('abc'),
  blobResponse: () => new Response(new Blob(['abc'])),
  reader: () => new Response('abc').body.getReader(),
  form: () => new FormData(),
  headers: () => new Headers(),
  url: () => new URL('http://x/'),
  query: () => new URLSearchParams('a=b'),
  pattern: () => new URLPattern({ pathname: '/a' }),
  readline: () => builtin('node:readline').createInterface({ input: new (builtin('node:stream').PassThrough)() }),
  map: () => new (builtin('node:module').SourceMap)({ version: 3, sources: [], mappings: '' }),
  module: () => new (builtin('node:module'))('x'),
  mime: () => new (builtin('node:util').MIMEType)('a/b'),
  event: () => new Event('x'),
  buffer: () => Buffer.from('abc'),
  process: () => process,
  navigator: () => navigator,
  memory: () => new WebAssembly.Memory({ initial: 1 }),
  tag: () => new WebAssembly.Tag({ parameters: [] }),
  segments: () => new Intl.Segmenter().segment('abc'),
  console: () => new (builtin('node:console').Console)(new (builtin('node:stream').PassThrough)()),
  tracing: () => builtin('node:diagnostics_channel').tracingChannel('x'),
  registry: () => new FinalizationRegistry(() => {}),
}

const attempt = (act) => {
  try {
    return act()
  } catch {
    return undefined
  }
}

/** Some are made on no other Node than the newest, some modules are closed: those are left out. */
const made = Object.fromEntries(Object.entries(MADE).map(([name, make]) => [name, attempt(make)]))

/** All functions, each with its path and the object that it was found on, in the same order each time. */
const functions = () => {
  const seen = new Set()
  const found = []
  const add = (value, path, holder, depth) => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return
    seen.add(value)
    found.push({ value, path, holder, depth })
  }
  for (const [name, value] of Object.entries(made)) add(value, name, undefined, 0)
  for (const name of MODULES)
    add(
      attempt(() => builtin(`node:${name}`)),
      name,
      undefined,
      0,
    )
  for (const key of Reflect.ownKeys(globalThis))
    add(
      attempt(() => globalThis[key]),
      String(key),
      globalThis,
      0,
    )
  // What is found lengthens it.
  for (const { value, path, depth } of found) {
    if (depth > DEEPEST) continue
    for (const key of attempt(() => Reflect.ownKeys(value)) ?? []) {
      const name = `${path}.${String(key)}`
      const property = ENDS.test(name) ? undefined : attempt(() => Reflect.getOwnPropertyDescriptor(value, key))
      if (property === undefined) continue
      add(property.get, `${name} (get)`, value, depth + 1)
      add(property.set, `${name} (set)`, value, depth + 1)
      add('value' in property ? property.value : attempt(() => value[key]), name, value, depth + 1)
    }
    add(
      attempt(() => Reflect.getPrototypeOf(value)),
      `${path}.__proto__`,
      value,
      depth + 1,
    )
  }
  return found.filter(({ value }) => typeof value === 'function')
}

const odd = () => ({ valueOf: () => -1, toString: () => 'x' })
const GIVEN = [
  [],
  [undefined],
  [null, null, null],
  ['x', 'x', 'x'],
  [-1, -1, -1, -1],
  [1, 2, 3, 4],
  [2 ** 53, 70_000, 1e300],
  [Number.NaN, {}, []],
  [{}, {}, {}],
  ['x', 0, {}],
  [[], []],
  [odd(), odd()],
  [Symbol('x'), Symbol.iterator],
  [1n, 2n],
  [Buffer.alloc(8), 100, 100, 100],
  [new Uint8Array(0), -5, 7],
  [new Proxy({}, {}), new Proxy(() => {}, {})],
  [() => {}, () => {}],
  [Object.create(null)],
  [made.channel.port1, [made.channel.port1]],
  [new ArrayBuffer(8), new Float64Array(2)],
  ['x'.repeat(1e4)],
  [new BigUint64Array(1), 5n],
]
const lying = Object.defineProperty(new Uint8Array(4), 'length', { value: 'x' })
const RECEIVERS = [undefined, {}, made.histogram, made.channel.port2, new Uint8Array(4), new DataView(new ArrayBuffer(4)), lying, process]

process.on('uncaughtException', () => {})

export default {
  async start(ctx) {
    const { begin, at, done } = await ctx.services.use('sweep', { wait: 5_000 })
    const all = functions()
    const callAll = async () => {
      await begin(all.length)
      for (let number = ctx.config.from; number < all.length; number++) {
        const { value, path, holder } = all[number]
        await at(number, path)
        const own = Object.create(typeof holder === 'object' || typeof holder === 'function' ? holder : null)
        for (const receiver of [holder, own, ...RECEIVERS])
          for (const given of GIVEN) {
            const answer = attempt(() => Reflect.apply(value, receiver, given))
            attempt(() => answer?.then?.(undefined, () => {}))
          }
        for (const given of GIVEN) attempt(() => Reflect.construct(value, given))
        await new Promise((resolve) => setTimeout(resolve))
      }
      await done()
    }
    setTimeout(() => void callAll(), 100)
  },
}
