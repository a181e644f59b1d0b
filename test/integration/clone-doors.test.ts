/** Structured clone in a plugin's realm: data is copied as ever, and of what is more nobody is asked how. */
import { once } from 'node:events'
import { runInThisContext } from 'node:vm'
import { MessageChannel } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { pluginCode, shared, startedWith } from '../support/plugin-folder.js'

/** A Blob that says how it is to be written down: by a module of Node's own that the reader would load. `asked` counts how often. */
const EVIL = `
  let asked = 0
  const symbols = []
  for (let at = new Blob([]); at; at = Object.getPrototypeOf(at)) symbols.push(...Object.getOwnPropertySymbols(at).filter(({ description }) => /^messaging_(clone|transfer)_symbol$/.test(description)))
  const evil = (as = Blob.prototype) => {
    const blob = new Blob(['x'])
    for (const symbol of symbols) Object.defineProperty(blob, symbol, { value: () => { asked++; return { data: {}, deserializeInfo: 'internal/url:none' } } })
    return Object.setPrototypeOf(blob, as)
  }
  const channel = new MessageChannel()
  channel.port1.unref()
  channel.port2.unref()
  const posted = (value, moved) => new Promise((resolve, reject) => {
    channel.port2.ref()
    channel.port2.once('message', (message) => { channel.port2.unref(); resolve(message) })
    try { channel.port1.postMessage(value, moved) } catch (error) { reject(error) }
  })
`
type Tried = (code: string) => Promise<unknown>

/** Runs code in the plugin and resolves with what it returned, or with the name of its error. */
const trying = shared(async (afterwards) => {
  const start = `await ctx.services.provide('tried', {
      by: (code) => (0, eval)('async ({ evil, posted, ctx, asked }) => {' + code + '}')({ evil, posted, ctx, asked: () => asked }).catch((error) => error.code === 'PAYLOAD_NOT_CLONEABLE' ? error.code : error.name),
    })`
  const { kernel } = await startedWith({ p: pluginCode({ start }, EVIL) }, {}, afterwards)
  const tried = (await kernel.services.use('tried')) as unknown as { by: Tried }
  return tried.by
})

describe('in the thread of a plugin', () => {
  const tried = trying

  it.each([
    [
      'objects, Maps, dates and circles',
      'const o = { a: [1, , { b: 2n }], m: new Map([[{ k: 1 }, new Set([1])]]), d: new Date(5) }; o.o = o; return structuredClone(o)',
    ],
    [
      'errors with causes',
      "const e = structuredClone(new TypeError('t', { cause: { a: 1 } })); return [e instanceof TypeError, e.message, e.cause]",
    ],
    [
      'an instance of a class, without it',
      'class A { x = 1; #y = 2; get z() { return this.#y } }; const c = structuredClone(new A()); return [Object.getPrototypeOf(c) === Object.prototype, c]',
    ],
    ['what a getter says, asked once', 'let n = 0; return structuredClone({ get n() { return ++n } })'],
    [
      'what is moved, with what looks at it',
      'const b = new ArrayBuffer(8); const c = structuredClone({ b, v: new Uint8Array(b, 2) }, { transfer: [b] }); return [b.byteLength, c.b.byteLength, c.v.buffer === c.b, c.v.byteOffset]',
    ],
    [
      'what is posted',
      'const b = new ArrayBuffer(4); const c = await posted({ b, list: [new Date(1)] }, [b]); return [c.b.byteLength, c.list, b.byteLength]',
    ],
    [
      'what is posted and moved by an option',
      'const b = new ArrayBuffer(4); return (await posted(b, { transfer: new Set([b]) })).byteLength',
    ],
    [
      'a port',
      "const { port1, port2 } = new MessageChannel(); const { port } = await posted({ port: port2 }, [port2]); const heard = new Promise((resolve) => port1.once('message', resolve)); port.postMessage({ hi: 1 }); const said = await heard; port1.close(); return said",
    ],
    ['the detail of a mark', "return performance.mark('m', { detail: { a: new Map([[1, 2]]) } }).detail"],
    ['a response', "const response = new Response('abc'); return [await response.clone().text(), await response.text()]"],
  ])('data is copied as it is without a gate: %s', async (_what, code) => {
    const by = await tried()
    const here = await inThisThread(code)
    expect(await by(code)).toEqual(here)
  })

  it.each([
    ['structuredClone', 'return structuredClone({ a: [evil()] })'],
    ['structuredClone, as a plain object', 'return structuredClone({ a: [evil(Object.prototype)] })'],
    ['structuredClone, from a getter', 'let n = 0; return structuredClone({ get a() { return n++ > 0 ? evil() : evil(null) } })'],
    ['structuredClone, to be moved', 'return structuredClone(1, { transfer: [evil()] })'],
    ['structuredClone, to be moved as a port', 'return structuredClone(1, { transfer: [evil(MessagePort.prototype)] })'],
    [
      'structuredClone, among what is moved by changed iterators',
      'const b = new ArrayBuffer(1), e = evil(), { values } = Array.prototype; Array.prototype[Symbol.iterator] = function* () { yield e }; try { return structuredClone(b, { transfer: [b] }) } finally { Array.prototype[Symbol.iterator] = values }',
    ],
    ['postMessage', 'return await posted({ a: evil() })'],
    ['postMessage, as a plain object', 'return await posted(evil(Object.prototype))'],
    ['postMessage, to be moved', 'return await posted(1, [evil(MessagePort.prototype)])'],
    ['a mark', "return performance.mark('m', { detail: evil(Object.prototype) }).detail"],
    ['a mark by its class', "return new (performance.mark('m').constructor)('m', { detail: evil(Object.prototype) }).detail"],
    ['a measure', "return performance.measure('m', { start: 0, end: 1, detail: evil(Object.prototype) }).detail"],
    [
      'the class of node:perf_hooks',
      "return new (await import('node:perf_hooks')).PerformanceMark('m', { detail: evil(Object.prototype) }).detail",
    ],
    ['an event', "return await ctx.bus.publish('some.event', { a: evil() })"],
    ['an event, as a plain object', "return await ctx.bus.publish('some.event', evil(Object.prototype))"],
    ['a line of the log', "return ctx.log.warn('x', { a: evil() })"],
    ['a line of the log, as a plain object', "return ctx.log.warn('x', evil(Object.prototype))"],
    ['an argument of a call', "return await (await ctx.services.use('tried')).by('return 1', evil(Object.prototype))"],
    ['a result', 'return evil(Object.prototype)'],
    ['what is thrown', 'throw Object.assign(new Error(), { cause: evil() })'],
  ])('what is no data is not asked how it is to be copied: %s', async (_what, code) => {
    const by = await tried()
    // Refused, or on some versions of Node an object without anything.
    await by(code).catch(() => {})
    expect(await by('return asked()')).toBe(0)
  })

  it.each([
    ['a Blob', "new Blob(['x'])"],
    ['a key', 'await crypto.subtle?.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]) ?? new Blob([])'],
    ['a stream', 'new ReadableStream()'],
  ])('%s is refused, by name', async (_what, made) => {
    const by = await tried()
    await expect(by(`return structuredClone({ a: ${made} })`)).resolves.toBe('DataCloneError')
    await expect(by(`return await ctx.bus.publish('some.event', { a: [${made}] })`)).resolves.toBe('PAYLOAD_NOT_CLONEABLE')
  })

  const HOLES = 'Object.assign([], { 4_000_000: 1 })'

  it.each([
    ['of few bytes', `return await posted(${HOLES})`],
    [
      'however the realm was changed before',
      `const { includes } = Uint8Array.prototype; Uint8Array.prototype.includes = () => false; try { return await posted(${HOLES}) } finally { Uint8Array.prototype.includes = includes }`,
    ],
  ])('what would take its reader far more memory than it was written in stays here: %s', async (_what, code) => {
    const by = await tried()
    await expect(by(code)).resolves.toBe('DataCloneError')
  })

  it('so it does where a getter has it ready for nobody but the one who writes', async () => {
    const by = await tried()
    const told = by(`
      let looks = 0
      let last = Infinity
      const event = { map: new Map(), get a() { return ++looks < last ? 1 : ${HOLES} } }
      await ctx.bus.publish('some.event', event)
      last = looks
      looks = 0
      return await ctx.bus.publish('some.event', event)`)
    await expect(told).resolves.toBe('PAYLOAD_NOT_CLONEABLE')
  })

  it('it may be copied here all the same', async () => {
    const by = await tried()
    await expect(by(`return structuredClone(${HOLES}).length`)).resolves.toBe(4_000_001)
  })
})

/** The same code without a plugin around it. */
const inThisThread = async (code: string): Promise<unknown> => {
  const { port1, port2 } = new MessageChannel()
  const posted = async (value: unknown, moved: never): Promise<unknown> => {
    port1.postMessage(value, moved)
    return (await once(port2, 'message'))[0] as unknown
  }
  try {
    return await (runInThisContext(`async (posted, MessageChannel) => {${code}}`) as Run)(posted, MessageChannel)
  } finally {
    port1.close()
  }
}

type Run = (posted: unknown, channel: typeof MessageChannel) => Promise<unknown>
