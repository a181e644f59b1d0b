/** What values weigh for whoever must make them: as many bytes as could be copied meanwhile, at the least. */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { CALL_LIMIT } from '#src/sandbox/values/call-window.js'
import { cloneSize } from '#src/sandbox/values/clone-size.js'
import { sentSize } from '#src/sandbox/values/codec.js'

const MEGABYTE = 1_048_576

const list = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

describe('a value weighs', () => {
  test('the bytes of its buffers and texts, and little beside them', () => {
    for (const value of [new Uint8Array(MEGABYTE), new ArrayBuffer(MEGABYTE), 'x'.repeat(MEGABYTE), { a: ['x'.repeat(MEGABYTE)] }]) {
      expect(cloneSize(value, Infinity)).toBeGreaterThanOrEqual(MEGABYTE)
      expect(cloneSize(value, Infinity)).toBeLessThan(MEGABYTE + 8_192)
    }
    expect(cloneSize(new Float64Array(MEGABYTE * 3.9), CALL_LIMIT)).toBeLessThan(CALL_LIMIT)
  })

  test('a buffer once, however many views there are of it, and not when it is moved', () => {
    const buffer = new ArrayBuffer(MEGABYTE)
    const views = list(10, () => new Uint8Array(buffer, 0, 1))
    expect(cloneSize(views, Infinity)).toBeLessThan(MEGABYTE + 16_384)
    expect(cloneSize(views, Infinity, [buffer])).toBeLessThan(16_384)
  })

  test.each<[string, (i: number) => unknown, number]>([
    ['an object', () => ({}), 512],
    ['a property', (i) => ({ a: i, b: i, c: i, d: i }), 512 + 4 * 64],
    ['a name of its own', (i) => ({ [`k${i}`]: i }), 512 + 1_024],
    ['an array', () => [], 512],
    ['an entry of a map', (i) => new Map([[i, i]]), 512 + 384],
    ['an entry of a set', (i) => new Set([i]), 512 + 384],
    ['a view', () => new Uint8Array(1), 512 + 1_024],
    ['a Blob', () => new Blob(['x']), 16_384],
    ['a text that is an object', () => new String('x'.repeat(1_000)), 1_512],
    ['a large integer', () => 1n << 80_000n, 10_000],
  ])('what it takes to make it: %s', (_, make, least) => {
    expect(cloneSize(list(100, make), Infinity)).toBeGreaterThan(100 * least)
  })

  test('what an error, a regular expression and a match have beside their names', () => {
    const long = 'x'.repeat(MEGABYTE)
    expect(cloneSize(new Error(long), Infinity)).toBeGreaterThan(MEGABYTE)
    expect(cloneSize(new Error('short', { cause: [long] }), Infinity)).toBeGreaterThan(MEGABYTE)
    expect(cloneSize(new RegExp(long), Infinity)).toBeGreaterThan(MEGABYTE)
    expect(cloneSize(/x/.exec(long), Infinity)).toBeGreaterThan(MEGABYTE)
  })

  test('what is in it once, also when it is in itself', () => {
    const whole: Record<string, unknown> = { long: 'x'.repeat(1_000) }
    whole['self'] = [whole, whole]
    expect(cloneSize(whole, Infinity)).toBeLessThan(8_192)
  })

  test('more than the most that is asked for, and no more of it is looked at', () => {
    let looked = 0
    const parts = list(10_000, () => ({
      get part() {
        looked++
        return 'x'
      },
    }))
    expect(cloneSize(parts, MEGABYTE)).toBeGreaterThan(MEGABYTE)
    expect(looked).toBeLessThan(2_500)
    expect(cloneSize(new Array(CALL_LIMIT), CALL_LIMIT)).toBeGreaterThan(CALL_LIMIT)
  })

  test('something where a getter of it throws', () => {
    const value = {
      get no() {
        throw new Error('no')
      },
    }
    expect(cloneSize(value, Infinity)).toBeGreaterThan(0)
  })
})

/** Milliseconds that a thread takes to read it, at best of a few times: others use the machine, too. */
const toRead = (value: unknown): number => {
  let best = Infinity
  for (let i = 0; i < 5; i++) {
    const { port1, port2 } = new MessageChannel()
    port1.postMessage(value)
    const began = performance.now()
    expect(receiveMessageOnPort(port2)).toBeDefined()
    best = Math.min(best, performance.now() - began)
    port1.close()
  }
  return best
}

describe('what weighs as much as a call may have', () => {
  test.each<[string, (count: number) => unknown]>([
    ['bytes', (count) => new Uint8Array(count * 100)],
    ['text', (count) => 'x'.repeat(count * 100)],
    ['rows', (count) => list(count, (i) => ({ i, t: 'twelve bytes' }))],
    ['objects without a property', (count) => list(count, () => ({}))],
    ['objects with names of their own', (count) => list(count, (i) => ({ [`k${i}`]: i }))],
    ['names of one object', (count) => Object.fromEntries(list(count, (i) => [`k${i}`, i]))],
    ['arrays', (count) => list(count, (i) => [i])],
    ['numbers', (count) => list(count, (i) => i + 0.5)],
    ['texts', (count) => list(count, (i) => `t${i}`)],
    ['entries of a map', (count) => new Map(list(count, (i) => [i, i]))],
    ['entries of a set', (count) => new Set(list(count, (i) => `t${i}`))],
    ['regular expressions', (count) => list(count, (i) => new RegExp(`a${i}`))],
    ['views', (count) => list(count, () => new Uint8Array(1))],
    ['large integers', (count) => list(count, (i) => BigInt(i))],
    ['Blobs', (count) => list(count, () => new Blob(['x']))],
  ])('holds its reader for a moment: %s', { timeout: 60_000 }, (_, make) => {
    const each = cloneSize(make(1_000), Infinity) / 1_000
    const value = make(Math.floor(CALL_LIMIT / each))
    expect(cloneSize(value, Infinity)).toBeGreaterThan(CALL_LIMIT * 0.9)
    // Some 50 ms, where nobody else uses the machine.
    expect(toRead(value)).toBeLessThan(1_000)
  })
})

describe('what is more than its keys say', () => {
  const holed = (length: number): unknown[] => Object.assign([], { [length - 1]: 1 })
  const named = (length: number): unknown[] =>
    Object.assign(
      Array.from({ length }, () => 1),
      { [`${'n'.repeat(100_000)}1`]: 1, [`${'n'.repeat(100_000)}2`]: 1 },
    )
  const namedAndHoled = (): unknown[] => {
    const list = named(5_000)
    Reflect.deleteProperty(list, 7)
    Reflect.deleteProperty(list, 8)
    return list
  }
  const without = <T extends object>(object: T): T => Object.setPrototypeOf(object, null) as T

  test.each<[string, () => unknown, number]>([
    ['the places of an array that are not taken', () => ({ list: holed(100_000) }), 800_000],
    ['the names beside the elements of an array', () => ({ list: named(3) }), 200_000],
    ['those of a long one', () => ({ list: named(5_000) }), 200_000],
    ['those of one with as many holes', () => ({ list: namedAndHoled() }), 200_000],
    ['a bigint as an object', () => ({ big: Object(1n << 8_000_000n) as unknown }), 1_000_000],
    [
      'a bigint as an object that is said to be a usual one',
      () => [Object.setPrototypeOf(Object(1n << 8_000_000n), Object.prototype)],
      1_000_000,
    ],
    ['a text as an object', () => ({ text: without(Object('x'.repeat(200_000)) as object) }), 200_000],
    ['a Map that is said to be none', () => ({ map: without(new Map([[1, 'x'.repeat(200_000)]])) }), 200_000],
    ['a Set that is said to be none', () => ({ set: without(new Set(['x'.repeat(200_000)])) }), 200_000],
    ['a Map that says that it is empty', () => Object.defineProperty(new Map([[1, 'x'.repeat(200_000)]]), 'size', { value: 0 }), 200_000],
    ['a buffer that is said to be none', () => ({ buffer: without(new ArrayBuffer(200_000)) }), 200_000],
    ['an error that is said to be none', () => ({ error: without(new Error('x'.repeat(200_000))) }), 200_000],
  ])('weighs it: %s', (_, make, least) => {
    const value = make()
    expect(sentSize(value)).toBeGreaterThanOrEqual(least)
    expect(sentSize(value)).toBeLessThan(4 * least)
    expect(cloneSize(value, Number.POSITIVE_INFINITY)).toBeGreaterThanOrEqual(least)
  })
})
