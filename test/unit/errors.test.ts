/** The one error class, its table of codes, and its way over a boundary. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, type ErrorCode, fromWire, PlugbayError, reasonOf, toWire, type WireError } from '#src/errors.js'
// @ts-expect-error a plain script
import { errorsPage } from '../../scripts/errors-doc.mjs'

/** As a boundary does it: to plain data, cloned, and back. */
const travel = (thrown: unknown, plugin?: string): Error => fromWire(structuredClone(toWire(thrown, plugin)))

interface Facts {
  name: string
  message: string
  code: unknown
  plugin: unknown
  details: unknown
  cause: Facts | undefined
  branded: boolean
}
const factsOf = (error: Error & { code?: unknown; plugin?: unknown; details?: unknown }): Facts => ({
  name: error.name,
  message: error.message,
  code: error.code,
  plugin: error.plugin,
  details: error.details,
  cause: error.cause instanceof Error ? factsOf(error.cause) : undefined,
  branded: PlugbayError.is(error),
})

const codes = Object.keys(ERROR_CODES) as ErrorCode[]
const text = fc.string({ maxLength: 40 })
const details = fc.option(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(fc.integer(), text, fc.boolean(), fc.constant(null))), {
  nil: undefined,
})

const errors = fc.letrec<{ any: Error; plugbay: Error; foreign: Error }>((tie) => {
  const cause = fc.option(tie('any'), { nil: undefined, maxDepth: 5, depthIdentifier: 'cause' })
  return {
    any: fc.oneof(tie('plugbay'), tie('foreign')),
    plugbay: fc
      .record({ code: fc.constantFrom(...codes), message: text, plugin: fc.option(text, { nil: undefined }), details, cause })
      .map(({ code, message, cause: behind, ...rest }) => new PlugbayError(code, message, behind ? { ...rest, cause: behind } : rest)),
    foreign: fc
      .record({ name: text, message: text, code: fc.oneof(text, fc.integer(), fc.constant(undefined)), cause })
      .map(({ name, message, code, cause: behind }) => {
        const error = new Error(message, behind ? { cause: behind } : {})
        error.name = name
        return code === undefined ? error : Object.assign(error, { code })
      }),
  }
})

const hostile: [string, () => unknown][] = [
  [
    'a getter that throws',
    () => Object.defineProperties(new Error('x'), { stack: thrower, message: thrower, name: thrower, code: thrower, cause: thrower }),
  ],
  ['a proxy whose every trap throws', () => new Proxy(new Error('x'), new Proxy({}, { get: () => boom }))],
  ['a revoked proxy', () => revoked(new Error('x'))],
  ['an object with a broken toString', () => ({ toString: boom })],
  ['an object without a prototype', () => Object.create(null)],
  ['a symbol', () => Symbol('thrown')],
  ['undefined', () => undefined],
  ['null', () => null],
  ['a bigint', () => 10n],
  ['a function', () => boom],
  ['a function with a broken toString', () => Object.assign(() => {}, { toString: boom, [Symbol.toPrimitive]: boom })],
  ['details with a cycle', () => new PlugbayError('PROTOCOL', 'x', { details: ring() })],
  ['details with a function', () => new PlugbayError('PROTOCOL', 'x', { details: { run: boom } })],
  ['details with a toJSON that throws', () => new PlugbayError('PROTOCOL', 'x', { details: { at: { toJSON: boom } } })],
  [
    'a plugin, name and message of other types',
    () => ({ name: 1, message: {}, plugin: [], code: {}, details: 'text', stack: 5, cause: boom }),
  ],
]
const boom = () => {
  throw new Error('hostile')
}
const thrower = { get: boom }
const revoked = (target: object) => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
const ring = () => {
  const details: Record<string, unknown> = {}
  details.self = details
  return details
}

describe('an error that crosses a boundary', () => {
  test('keeps name, message, code, plugin, details and the chain of causes', () => {
    fc.assert(
      fc.property(errors.any, (error) => {
        expect(factsOf(travel(error))).toEqual(factsOf(error))
      }),
    )
  })

  test('keeps its stack', () => {
    const error = new PlugbayError('PLUGIN_START', 'no port')
    expect(travel(error).stack).toBe(error.stack)
  })

  test('is a PlugbayError again where it was one', () => {
    const arrived = travel(new PlugbayError('CALL_TIMEOUT', 'too slow', { plugin: 'users', details: { ms: 5 } }))
    expect(arrived).toBeInstanceOf(PlugbayError)
    expect(arrived).toMatchObject({ code: 'CALL_TIMEOUT', plugin: 'users', details: { ms: 5 } })
  })

  test('keeps the brand over a second boundary', () => {
    expect(PlugbayError.is(travel(travel(new PlugbayError('PROTOCOL', 'x'))))).toBe(true)
  })

  test('takes the name of the plugin it came from, unless it has one', () => {
    expect(travel(new Error('x'), 'users')).toMatchObject({ plugin: 'users' })
    expect(travel(new PlugbayError('PLUGIN_START', 'x', { plugin: 'database' }), 'users')).toMatchObject({ plugin: 'database' })
    expect(travel('text', 'users')).toMatchObject({ plugin: 'users', message: 'text' })
  })

  test('of another realm keeps all it has', () => {
    const foreign: unknown = runInNewContext("Object.assign(new RangeError('far', { cause: new TypeError('farther') }), { code: 'E_FAR' })")
    expect(foreign).not.toBeInstanceOf(Error)
    expect(factsOf(travel(foreign))).toMatchObject({
      name: 'RangeError',
      message: 'far',
      code: 'E_FAR',
      cause: { name: 'TypeError', message: 'farther' },
    })
  })

  test('keeps a cause that is no error as its text', () => {
    expect(travel(new Error('x', { cause: 'the disk is full' })).cause).toMatchObject({ message: 'the disk is full' })
    expect(travel(new Error('x', { cause: 0 })).cause).toMatchObject({ message: '0' })
  })

  test.each(hostile)('survives %s', (_name, make) => {
    const arrived = travel(make(), 'evil')
    expect(arrived).toBeInstanceOf(Error)
    expect(typeof arrived.message).toBe('string')
    expect(typeof arrived.name).toBe('string')
    expect(typeof reasonOf(make())).toBe('string')
    expect(PlugbayError.is(make())).toBe(arrived instanceof PlugbayError)
  })

  test('is cut when it is its own cause', () => {
    const error = new Error('round')
    error.cause = new Error('and round', { cause: error })
    let depth = 0
    for (let each: unknown = travel(error); each instanceof Error; each = each.cause) depth += 1
    expect(depth).toBeGreaterThan(2)
    expect(depth).toBeLessThan(20)
  })

  test('made up by the other end with a cyclic cause is cut too', () => {
    const wire: WireError = { name: 'Error', message: 'round' }
    wire.cause = wire
    let depth = 0
    for (let each: unknown = fromWire(structuredClone(wire)); each instanceof Error; each = each.cause) depth += 1
    expect(depth).toBeLessThan(20)
  })

  test('stays small however much it holds', () => {
    const big = 'x'.repeat(1_000_000)
    const wire = toWire(new PlugbayError('PROTOCOL', big, { details: { big }, cause: big }))
    expect(JSON.stringify(wire).length).toBeLessThan(200_000)
    expect(wire.message.startsWith('xxx')).toBe(true)
    expect(wire.message).toContain('1000000 characters')
    expect(wire.details?.omitted).toMatch(/characters of details/)
    // These are not even written to their end.
    const many = Array.from({ length: 100_000 }, (_, i) => ({ i }))
    expect(toWire({ message: 'm', details: { many } }).details).toEqual({ omitted: 'more than 65536 characters of details' })
  })

  test('keeps the rest of its details beside a bigint', () => {
    expect(travel(new PlugbayError('PROTOCOL', 'x', { details: { limit: 5n, used: 7 } }))).toMatchObject({
      details: { limit: '5n', used: 7 },
    })
  })

  test('with a code of a newer version keeps that code', () => {
    expect(fromWire({ name: 'PlugbayError', message: 'x', code: 'FROM_THE_FUTURE', branded: true })).toMatchObject({
      name: 'PlugbayError',
      code: 'FROM_THE_FUTURE',
    })
  })
})

describe('PlugbayError', () => {
  test('has no cause unless one is given, and keeps one that is undefined', () => {
    expect('cause' in new PlugbayError('PROTOCOL', 'x')).toBe(false)
    expect('cause' in new PlugbayError('PROTOCOL', 'x', { cause: undefined })).toBe(true)
  })

  test('is known by its brand, not by its class', () => {
    const other = Object.defineProperty(new Error('from another copy'), Symbol.for('plugbay.error'), { value: true })
    expect(PlugbayError.is(other)).toBe(true)
    expect(PlugbayError.is(new Error('x'))).toBe(false)
    expect(PlugbayError.is(undefined)).toBe(false)
    expect(PlugbayError.is('PROTOCOL')).toBe(false)
  })
})

describe('the table of codes', () => {
  test('is what docs/errors.md shows', () => {
    const page = readFileSync(fileURLToPath(new URL('../../docs/errors.md', import.meta.url)), 'utf8')
    expect(page, 'docs/errors.md is stale: run `npm run docs:errors`').toBe(errorsPage(ERROR_CODES))
  })

  test('says of each code in one sentence when it happens', () => {
    for (const [code, meaning] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
      expect(meaning, code).toMatch(/^[A-Z].*\.$/)
    }
  })
})
