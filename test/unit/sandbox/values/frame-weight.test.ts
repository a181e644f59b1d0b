import { Serializer, serialize } from 'node:v8'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertWeight } from '#src/sandbox/values/frame-weight.js'

/** Of few bytes nothing is weighed. */
const FILLER = 'x'.repeat(300_000)

const written = (value: unknown): Buffer => {
  const serializer = new Serializer()
  serializer.writeHeader()
  serializer.writeValue(value)
  return serializer.releaseBuffer()
}

/** The value between others, so that what follows it is read, too. */
const among = (value: unknown): Buffer => written([value, FILLER, { value }, [value, 'last']])

const buffer = new Uint8Array(8)
const resizable = Reflect.construct(ArrayBuffer, [2, { maxByteLength: 9 }]) as ArrayBuffer
const error = new TypeError('ü€', { cause: new RangeError('within', { cause: [{ buffer }] }) })

describe('what V8 has written', () => {
  it.each<[string, unknown]>([
    ['numbers', [0, -5, 4e9, 1.5, Number.NaN, 10n, -(2n ** 80n)]],
    ['texts', ['', 'a', 'ü', 'ü€', '\0']],
    ['what is nothing', [undefined, null, true, false]],
    ['objects', [{}, { a: { b: [1, 'x'] } }, { '€': 1, 5: 2 }]],
    ['arrays', [[], Object.assign(new Array(3), { 1: 'x' }), Object.assign([1, 2], { more: 1 }), new Array(1_000)]],
    ['maps and sets', [new Map<unknown, unknown>([[{}, [1]]]), new Set([1, 'a', new Set()])]],
    ['dates', [new Date(0)]],
    ['primitives as objects', [1, 's€', true, false, 1n].map((value) => Object(value) as unknown)],
    [
      'buffers',
      [new ArrayBuffer(5), buffer, new DataView(buffer.buffer, 1, 3), Buffer.from('hello'), resizable, new Uint8Array(resizable)],
    ],
    [
      'errors',
      [
        error,
        new Error(''),
        new Error('view', { cause: new Uint8Array(4) }),
        new Error('seen', { cause: buffer.buffer }),
        [error, [error]],
      ],
    ],
    [
      'errors for what is no object',
      [new Error('five', { cause: 5 }), new Error('text', { cause: 'ü€' }), new Error('none', { cause: undefined })],
    ],
  ])('passes: %s', (_, values) => {
    for (const value of [...(values as unknown[]), values]) expect(() => assertWeight(among(value), 10_000)).not.toThrow()
  })

  it.each<[string, () => unknown]>([
    ['places of an array that are not taken', () => Object.assign([], { 33554430: 1 })],
    ['most bytes of a buffer', () => Reflect.construct(ArrayBuffer, [2, { maxByteLength: 2 ** 26 }])],
    ['most bytes of a buffer, nearly 4 GiB', () => Reflect.construct(ArrayBuffer, [2, { maxByteLength: 2 ** 32 - 1 }])],
  ])('refuses in however few bytes: %s', (_, make) => {
    const bytes = written([make()])
    expect(bytes.length).toBeLessThan(100)
    expect(() => assertWeight(bytes, 1_000_000)).toThrow('too many parts')
  })

  it.each([
    ['alone', /x/],
    ['within', { a: [new Map([[1, /\p{L}/u]])] }],
  ])('refuses a regular expression, %s, however short', (_, value) => {
    expect(() => assertWeight(written(value), 1_000_000)).toThrow('a RegExp is in it')
    // The letter by which it is written is no such thing elsewhere.
    expect(() => assertWeight(written({ R: 'RRR', error: new RangeError('R') }), 1_000_000)).not.toThrow()
  })

  it('passes as node:v8 writes it, with views of buffers, which count as parts', () => {
    const views = { short: 0, views: true }
    const value = [error, buffer, new DataView(buffer.buffer, 1, 3), Buffer.from('hello'), new Float64Array(2), { last: 'ü€' }]
    expect(() => assertWeight(serialize(value), 100, views)).not.toThrow()
    const many = Array.from({ length: 100 }, () => Buffer.alloc(1))
    expect(() => assertWeight(serialize(many), 100, views)).toThrow('too many parts')
  })

  it('passes: buffers that are moved', () => {
    const serializer = new Serializer()
    serializer.transferArrayBuffer(300, buffer.buffer)
    serializer.writeHeader()
    serializer.writeValue([buffer, buffer.buffer, FILLER, new Float64Array(buffer.buffer), { last: 1 }])
    expect(() => assertWeight(serializer.releaseBuffer(), 100)).not.toThrow()
  })

  it('passes, whatever it is', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
    })
    fc.assert(
      fc.property(anything, (value) => {
        let bytes: Buffer
        try {
          bytes = among(value)
        } catch {
          return // It cannot be written.
        }
        assertWeight(bytes, 100_000)
      }),
      { numRuns: 500 },
    )
  })

  it.each<[string, () => unknown]>([
    ['objects', () => Array.from({ length: 100_000 }, () => ({}))],
    ['numbers', () => Array.from({ length: 300_000 }, (_, i) => i)],
    ['names', () => Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`a name ${i}`, 0]))],
    ['members of a map', () => new Map(Array.from({ length: 100_000 }, (_, i) => [i, i]))],
    ['errors', () => Array.from({ length: 20_000 }, () => new Error('x'))],
  ])('is refused for too many %s', (_, make) => {
    expect(() => assertWeight(written(make()), 100_000)).toThrow(/^a value of \d+ bytes has too many parts/)
  })

  it('is not weighed by its texts and buffers', () => {
    expect(() => assertWeight(written(['x'.repeat(1e7), new Uint8Array(1e7)]), 100)).not.toThrow()
  })

  it('and then changed, or of no sense at all, is refused or passes, and never takes long or throws anything else', () => {
    const good = among([error, new Map([[1, buffer]]), /x/g, { a: [1.5, 'ü€'] }, 5n])
    const changes = fc.array(fc.tuple(fc.oneof(fc.nat(400), fc.nat(good.length - 1)), fc.nat(255)), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(changes, (changed) => {
        const bytes = Buffer.from(good)
        for (const [at, byte] of changed) bytes[at] = byte
        try {
          assertWeight(bytes, 100_000)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
