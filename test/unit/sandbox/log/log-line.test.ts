import { describe, expect, test } from 'vitest'
import { LINE_LIMIT, lineOf } from '#src/sandbox/log/log-line.js'

const OMITTED = { omitted: `more than ${LINE_LIMIT} bytes of fields` }

describe('a line of the log', () => {
  test('costs its message and its fields with their names', () => {
    expect(lineOf('12345', undefined)).toEqual({ message: '12345', fields: undefined, size: 5 })
    const short = lineOf('', { a: 'x' }).size
    expect(lineOf('', { a: 'x'.repeat(101) }).size).toBe(short + 100)
    expect(lineOf('', { [`a${'b'.repeat(100)}`]: 'x' }).size).toBe(short + 100)
    expect(lineOf('', { a: 2n ** 4_000n }).size).toBeGreaterThan(1_000)
  })

  test('is cut when its message is too long', () => {
    const { message, size } = lineOf('x'.repeat(1_000_000), undefined)
    expect(message).toBe(`${'x'.repeat(LINE_LIMIT)}… (1000000 characters)`)
    expect(size).toBe(LINE_LIMIT)
  })

  const twice = (depth: number): unknown => (depth === 0 ? [] : ((half) => [half, half])(twice(depth - 1)))
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])
  test.each<[string, unknown]>([
    ['many keys', Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, { v: i }]))],
    ['a long text', { text: 'x'.repeat(LINE_LIMIT) }],
    ['an array of holes alone', Object.assign([], { length: 2 ** 32 - 1 })],
    ['a small part of a large buffer', new Uint8Array(new ArrayBuffer(1e6), 0, 1)],
    ['one part many times over', twice(40)],
    ['a map', new Map(Array.from({ length: 20_000 }, (_, i) => [i, i]))],
    ['a set', new Set(Array.from({ length: 20_000 }, (_, i) => i))],
    ['an error with a long message', { error: new Error('x'.repeat(LINE_LIMIT)) }],
    ['many levels', nested(1_000)],
  ])('has a note instead of its fields when they are %s', (_, fields) => {
    expect(lineOf('m', fields)).toEqual({ message: 'm', fields: OMITTED, size: 1 + LINE_LIMIT })
  })

  test('keeps fields that hold themselves', () => {
    const fields: Record<string, unknown> = { a: 1 }
    fields['self'] = fields
    expect(lineOf('m', fields).fields).toBe(fields)
  })
})
