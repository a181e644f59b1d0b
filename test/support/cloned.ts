/** What structured clone makes of a value, held against what came over a boundary. */
import { inspect, isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'

const shown = (value: unknown): string => inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null })

/** The same value to the last leaf: prototypes, holes, -0, NaN, and properties beside the elements of an array included. */
export const expectClone = (actual: unknown, expected: unknown): void => {
  if (isDeepStrictEqual(actual, expected)) return
  // Two dates that are none are never deeply equal on Node 20; what they are shown as is.
  if (shown(actual) === shown(expected)) return
  expect(actual).toStrictEqual(expected) // writes the better message
  expect.fail('the two are not deeply equal, though they look alike')
}

class Account {
  readonly owner = 'ann'
  balance = 3
  get double(): number {
    return this.balance * 2
  }
}

const shared = { id: 1 }
const circular: Record<string, unknown> = { name: 'loop' }
circular.self = circular
const inTree = { leaf: true }
const holes = [1, 2, 3]
Reflect.deleteProperty(holes, 1)
const deep = (levels: number): unknown => (levels === 0 ? 'bottom' : { next: deep(levels - 1) })
const deepArray = (levels: number): unknown => (levels === 0 ? [] : [deepArray(levels - 1)])

/** One value of every kind that structured clone takes, by name. */
export const CLONEABLE: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  booleans: () => [true, false],
  numbers: () => [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_SAFE_INTEGER, 5e-324],
  '-0 by itself': () => -0,
  'NaN by itself': () => Number.NaN,
  bigints: () => [0n, -1n, 2n ** 70n],
  'a bigint by itself': () => 10n,
  strings: () => ['', 'text', 'ünïcode ✓ 👩‍🚀', '\u0000', '\u2028'],
  'lone surrogates': () => ({ '\ud800': '\udfff', plain: 'a\ud83d' }),
  'an empty object': () => ({}),
  'an empty array': () => [],
  'plain data': () => ({ user: { id: 7, tags: ['a', 'b'], address: null }, at: undefined }),
  'an array of like objects': () => Array.from({ length: 40 }, (_, id) => ({ id, name: `n${id}` })),
  'an array of unlike objects': () => [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }, 'text', null, [1]],
  'a long array of unlike things': () => Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? i : i % 3 === 1 ? [i] : { i })),
  'nested arrays of different lengths': () => [[1], [], [1, 2, 3], [[4]]],
  'an array with undefined in it': () => [undefined, 1, undefined],
  'an array with holes': () => holes,
  'an array of holes alone': () => new Array(3),
  'an array with a property beside its elements': () => Object.assign([1, 2], { note: 'beside' }),
  'integer-like keys': () => ({ b: 1, 10: 'ten', 2: 'two', a: 2, '-1': 'minus', '01': 'padded' }),
  'a __proto__ key': () => JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "toString": 2}') as unknown,
  'keys that are no identifiers': () => ({ 'a b': 1, 'a"b': 2, "a'b": 3, 'a\nb': 4, '': 5, '`${x}`': 6, default: 7, get: 8, async: 9 }),
  'an object without a prototype': () => Object.assign(Object.create(null) as object, { a: 1 }),
  'a class instance': () => new Account(),
  'a class instance within': () => ({ account: new Account() }),
  'a getter': () => ({
    get now() {
      return 42
    },
  }),
  'a property that is not enumerable': () => Object.defineProperty({ shown: 1 }, 'hidden', { value: 2, enumerable: false }),
  'a symbol key': () => ({ [Symbol('s')]: 1, shown: 2 }),
  'frozen data': () => Object.freeze({ a: Object.freeze([1]) }),
  'shared references': () => ({ one: shared, two: shared, list: [shared, shared] }),
  'shared references far apart': () => [...Array.from({ length: 30 }, (_, i) => ({ i })), shared, shared],
  'a circle': () => circular,
  'a tree that is no circle': () => ({ a: { inTree: { ...inTree } }, b: { inTree: { ...inTree } } }),
  'boxed primitives': () => [new Object(1), new Object('text'), new Object(false), new Object(2n)],
  dates: () => [new Date(0), new Date(1_700_000_000_000), new Date(Number.NaN)],
  maps: () =>
    new Map<unknown, unknown>([
      [1, { a: 1 }],
      ['two', new Map([[Number.NaN, -0]])],
      [{ key: true }, new Set([1])],
    ]),
  sets: () => new Set<unknown>([1, 'a', Number.NaN, { a: 1 }]),
  errors: () => [new Error('plain'), new TypeError('typed'), new RangeError('ranged', { cause: new Error('because') })],
  'array buffers': () => [new Uint8Array([1, 2, 3]).buffer, new ArrayBuffer(0)],
  'typed arrays': () => [
    new Uint8Array([1, 2]),
    new Float64Array([-0, Number.NaN]),
    new BigInt64Array([1n]),
    new DataView(new ArrayBuffer(4), 1, 2),
  ],
  'two views of one buffer': () => {
    const buffer = new ArrayBuffer(8)
    return { bytes: new Uint8Array(buffer), words: new Uint32Array(buffer) }
  },
  'a Buffer': () => Buffer.from('bytes'),
  'a value of many levels': () => deep(30),
  'an array of many levels': () => deepArray(30),
  'a wide array': () => Array.from({ length: 2_000 }, (_, i) => i),
  'a wide object': () => Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`key ${i}`, i])),
  'many objects': () => Array.from({ length: 200 }, (_, i) => ({ a: { i }, b: { i }, c: { i } })),
  'plain data around one that is not': () => ({ id: 1, at: new Date(5), tags: ['a'] }),
}

/** Values that no boundary takes, by name. */
export const UNCLONEABLE: Record<string, () => unknown> = {
  'a function': () => () => 1,
  'a function within': () => ({ id: 1, inner: { callback: () => 1 } }),
  'a function in an array': () => [1, () => 2],
  'a symbol': () => Symbol('s'),
  'a symbol within': () => ({ s: Symbol('s') }),
  'a promise': () => Promise.resolve(1),
  'a weak map': () => ({ weak: new WeakMap() }),
  'a method of a class': () =>
    new (class {
      run = (): void => {}
    })(),
}
