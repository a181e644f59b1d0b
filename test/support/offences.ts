/** What plugins do that mean harm, or are broken: each as the source of an act, and a plugin that does it when it is told to. */
import { pluginCode } from './plugin-folder.js'

/** Acts that do not come back. */
export const HANGS = {
  'in a loop': 'for (;;);',
  'in promises': 'const f = () => void Promise.resolve().then(f); f()',
  'in a regular expression': "/^(a+)+$/.test('a'.repeat(50) + '!')",
  'in Atomics.wait': 'Atomics.wait(new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer), 0, 0)',
}

/** Keeps more in `kept` with each turn. */
export const grows = (step: string): string => `globalThis.kept = []; const f = () => { ${step}; setImmediate(f) }; f()`

export const KEEPS_OBJECTS = grows('for (let i = 0; i < 2e4; i++) kept.push({ i })')
export const KEEPS_BUFFERS = grows('kept.push(Buffer.alloc(2e6, 1))')
/** Keeps what no counter of V8's shows, or not on each version of Node. */
export const KEEPS_UNCOUNTED = {
  Blobs: grows('kept.push(new Blob([new Uint8Array(4e6).fill(1)]))'),
  'messages that nobody reads': grows('kept.push(new MessageChannel()); kept.at(-1).port1.postMessage(new Uint8Array(4e6).fill(1))'),
  'shared memory': grows('kept.push(new Uint8Array(new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true }).buffer).fill(1))'),
}
/** They hold nothing, and take the addresses of the process. In such turns that whoever looks at it comes in between. */
export const KEEPS_MEMORIES =
  'globalThis.kept = []; const f = () => { for (let i = 0; i < 25; i++) kept.push(new WebAssembly.Memory({ initial: 0 })); setTimeout(f, 5) }; f()'
/** A module of WebAssembly that defines a memory and nothing else. */
export const WITH_MEMORY = 'new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 0])'
/** An instance of WebAssembly whose `f` has so many variables and does what this source says, as a list of bytes. */
export const withFunction = (variables: number, does: string): string => `(() => {
  const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >> 7)])
  const body = [1, ...leb(${variables}), 127, ...${does}, 32, 1, 11]
  const code = [1, ...leb(body.length), ...body]
  const head = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0]
  return new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([...head, 10, ...leb(code.length), ...code])))
})()`
/** Functions for which V8 takes hundreds of MB each, in the thread that calls it first. Each is another, as V8 compiles none twice. */
export const HARD_TO_COMPILE = {
  'of WebAssembly': `for (let i = 300; ; i++) ${withFunction(40_000, '[...Array.from({ length: i }, () => [32, 0, 4, 64]).flat(), ...Array(i).fill(11)]')}.exports.f(0)`,
  'of asm.js': `
    const variables = Array.from({ length: 20_000 }, (_, i) => 'v' + i + '=0').join()
    for (let i = 1_000; ; i++)
      new Function('return (function () { "use asm"; function f(a) { a = a | 0; var ' + variables + ';' + 'if (a) { v1 = 2; }'.repeat(i) + ' return v1 | 0 } return { f: f } })()')().f(0)`,
}
export const KEEPS_OBJECTS_IN_ONE_TURN = 'const kept = []; for (;;) kept.push({ at: kept.length })'

/**
 * Computes for so many milliseconds in calls of V8's of which nothing interrupts one, nor what comes between two. Each takes one processor
 * alone, and no memory: parsing a large text has the threads that collect garbage compute as well.
 */
export const inNativeCode = (ms: number): string =>
  `const text = 'a'.repeat(1e5), sought = 'a'.repeat(5e4) + 'b'; for (const end = Date.now() + ${ms}; Date.now() < end; ) text.lastIndexOf(sought)`

/** Works all the time, in turns of that many milliseconds, so that the loop never rests. */
export const inShortTurns = (ms: number, counted = ''): string =>
  `const busy = () => { const end = performance.now() + ${ms}; while (performance.now() < end); ${counted}; setImmediate(busy) }; busy()`

/** Works for so many milliseconds at a time, `busy` by name, and leaves the processor to others in between. */
export const nowAndThen = (ms: number, every: number): string =>
  `const busy = () => { const end = performance.now() + ${ms}; while (performance.now() < end); }; setInterval(busy, ${every})`

/** A plugin that does the act on `go`, in a turn of its own; `first`: before it listens, `before`: ahead of the module. */
export const onGo = (act: string, { first = '', before = '' } = {}): string =>
  pluginCode({ start: `${first}\nctx.bus.subscribe('go', () => { setImmediate(() => { ${act} }) })` }, before)

/** Valid JavaScript, of which the parser that strips types takes twice as long for each further arrow: it takes minutes. */
export const SLOW_TO_PARSE = `export default ${'a ? (b) : c => '.repeat(28)}d\n`
