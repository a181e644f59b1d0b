/** What was thrown, over a boundary and back. */
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, type ErrorCode, PlugbayError } from '#src/errors.js'
import { again, fromWire, isOwn, reasonOf, toWire, type WireError } from '#src/wire-error.js'

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
  ['a property that throws when read', () => Object.defineProperty(new Error('x'), 'status', { get: boom, enumerable: true })],
  ['members that cannot be read', () => Object.defineProperty(new AggregateError([]), 'errors', thrower)],
  ['members of a revoked list', () => Object.assign(new AggregateError([]), { errors: revoked([]) })],
  ['members that are no errors', () => new AggregateError([null, undefined, boom, Symbol('x'), { toString: boom }])],
  ['a property that is a revoked proxy', () => Object.assign(new Error('x'), { at: revoked({}) })],
  [
    'a plugin, name and message of other types',
    () => ({ name: 1, message: {}, plugin: [], code: {}, details: 'text', stack: 5, cause: boom }),
  ],
]
const propertiesOf = (error: Error): Record<string, unknown> => Object.fromEntries(Object.entries(error))

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
    expect(travel('no error').stack).toBe('Error: no error')
  })

  test('is a PlugbayError again where it was one', () => {
    const arrived = travel(new PlugbayError('CALL_TIMEOUT', 'too slow', { plugin: 'users', details: { ms: 5 } }))
    expect(arrived).toBeInstanceOf(PlugbayError)
    expect(arrived).toMatchObject({ code: 'CALL_TIMEOUT', plugin: 'users', details: { ms: 5 } })
  })

  test('is not of this end, nor are its causes, whatever they say; one made here is, also when it is told in short', () => {
    const made = new PlugbayError('PROTOCOL', 'x', { cause: new PlugbayError('INTERNAL', 'y') })
    expect(isOwn(made)).toBe(true)
    expect(isOwn(again(made, toWire(made)))).toBe(true)
    const arrived = travel(made)
    expect([arrived, arrived.cause, travel(arrived), again(arrived, toWire(arrived))].map(isOwn)).toEqual([false, false, false, false])
    expect([new Error('x'), { code: 'PROTOCOL' }, null].map(isOwn)).toEqual([false, false, false])
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

  test('is cut in each of its texts', () => {
    const long = 'x'.repeat(1_000_000)
    const { name, message, code } = toWire(Object.assign(new Error(long), { name: long, code: long }))
    for (const text of [name, message, code]) expect((text as string).length).toBeLessThan(20_000)
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

  test.each([
    ['object', (part: unknown) => ({ a: part, b: part })],
    ['list', (part: unknown) => [part, part]],
  ])('a thrown %s that holds the same parts in many places is not written to its end', (kind, around) => {
    // A few hundred bytes as they cross; 2 to the power of the levels as text.
    let thrown: unknown = {}
    for (let level = 0; level < 15; level++) thrown = around(thrown)
    const told = `a thrown ${kind} of more than 16384 characters`
    expect(toWire(thrown)).toMatchObject({ message: told })
    expect(toWire(new Error('x', { cause: thrown })).cause).toMatchObject({ message: told })
    expect(toWire(new AggregateError([thrown])).errors?.[0]).toMatchObject({ message: told })
  })

  test('keeps the rest of its details beside a bigint', () => {
    expect(travel(new PlugbayError('PROTOCOL', 'x', { details: { limit: 5n, used: 7 } }))).toMatchObject({
      details: { limit: '5n', used: 7 },
    })
  })

  test('keeps the properties that were set on it, as far as they are plain data', () => {
    const at = { line: 1, columns: [1, { to: null }], missing: undefined }
    const arrived = travel(Object.assign(new Error('not found'), { status: 404, url: '/a', retry: false, at, left: 5n }))
    expect(propertiesOf(arrived)).toEqual({ status: 404, url: '/a', retry: false, at: { line: 1, columns: [1, { to: null }] }, left: 5n })
    expect(propertiesOf(travel(Object.assign(new PlugbayError('PROTOCOL', 'x'), { status: 404 })))).toMatchObject({
      code: 'PROTOCOL',
      status: 404,
    })
    expect(
      propertiesOf(travel(Object.assign(new Error('x', { cause: Object.assign(new Error('y'), { errno: -2 }) }))).cause as Error),
    ).toEqual({ errno: -2 })
    expect(propertiesOf(travel({ status: 404 }))).toMatchObject({ status: 404, details: { status: 404 } })
  })

  test('leaves a property behind whole when any of it is more than plain data', () => {
    class Request {
      url = '/a'
    }
    const ring: unknown[] = []
    ring.push(ring)
    const sparse = [1]
    sparse[2] = 3
    const extra = {
      run: boom,
      request: new Request(),
      deep: { in: { here: new Request() } },
      of: Symbol('x'),
      now: new Date(),
      map: new Map(),
      ring,
      sparse,
      bytes: new Uint8Array(8),
      beyond: 1n << 64n,
    }
    expect(propertiesOf(travel(Object.assign(new Error('x'), extra, { status: 404 })))).toEqual({ status: 404 })
  })

  test('runs none of its getters for a property, nor of what is in one', () => {
    let ran = 0
    const getter = { get: () => ++ran, enumerable: true }
    const error = Object.assign(new Error('x'), { at: Object.defineProperty({}, 'line', getter), json: { toJSON: () => ++ran } })
    travel(Object.defineProperty(error, 'status', getter))
    expect(ran).toBe(0)
  })

  test('keeps small properties beside large ones, and not more than there is room for', () => {
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`p${i}`, i]))
    const wire = toWire(
      Object.assign(new Error('x'), { text: 'x'.repeat(1e6), list: Array.from({ length: 1e5 }, () => 1), many, status: 404 }),
    )
    expect(wire.properties).toEqual({ status: 404 })
    const whole = travel(Object.assign(new Error('x'), many))
    expect(Object.keys(whole).length).toBeGreaterThan(100)
    expect(Object.keys(whole).length).toBeLessThanOrEqual(256)
    const texts = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, 'x'.repeat(1_000)]))
    expect(JSON.stringify(toWire(Object.assign(new Error('x'), texts)).properties).length).toBeLessThan(20_000)
  })

  test('keeps what every error has from being set by a property', () => {
    const error = new Error('x')
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
      Object.defineProperty(error, key, { value: { polluted: true }, enumerable: true })
    const properties = JSON.parse(
      '{"__proto__":{"polluted":true},"at":{"__proto__":{"polluted":true},"line":1},"toString":5,"stack":5,"message":5,"cause":5,"code":{},"status":1}',
    ) as Record<string, unknown>
    for (const arrived of [travel(error), fromWire({ name: 'Error', message: 'x', stack: 'Error: x', properties })]) {
      expect('polluted' in arrived).toBe(false)
      expect('polluted' in ((arrived as { at?: object }).at ?? {})).toBe(false)
      expect(Object.getPrototypeOf(arrived)).toBe(Error.prototype)
      expect(`${arrived}`).toBe('Error: x')
      expect(arrived.stack).toMatch(/^Error: x/)
      expect(arrived.cause).toBeUndefined()
    }
    expect('polluted' in {}).toBe(false)
  })

  test('is an AggregateError again, with its members whole', () => {
    const members = [Object.assign(new TypeError('db down'), { code: 'E_DB' }), new PlugbayError('SERVICE_GONE', 'gone'), 'cache down']
    const arrived = travel(new AggregateError(members, 'nothing answers', { cause: new AggregateError([new Error('why')]) }), 'shop')
    expect(arrived).toBeInstanceOf(AggregateError)
    expect(arrived).toMatchObject({ name: 'AggregateError', message: 'nothing answers', plugin: 'shop' })
    expect((arrived as AggregateError).errors).toMatchObject([
      { name: 'TypeError', message: 'db down', code: 'E_DB', stack: expect.stringContaining('wire-error.test') },
      { code: 'SERVICE_GONE' },
      { message: 'cache down' },
    ])
    expect(((arrived as AggregateError).errors as unknown[])[1]).toBeInstanceOf(PlugbayError)
    expect((arrived.cause as AggregateError).errors).toMatchObject([{ message: 'why' }])
    const foreign: unknown = runInNewContext("new AggregateError([new RangeError('far')], 'all')")
    expect((travel(foreign) as AggregateError).errors).toMatchObject([{ name: 'RangeError', message: 'far' }])
    expect(travel(Object.assign(new Error('not valid'), { errors: [{ path: '/a' }] }))).toMatchObject({
      name: 'Error',
      errors: [{ path: '/a' }],
    })
  })

  test('has no more members than may be, however they lie in each other, whoever made it', () => {
    const count = (error: unknown): number =>
      error instanceof Error
        ? 1 + count(error.cause) + ((error as AggregateError).errors ?? []).reduce((sum: number, each: unknown) => sum + count(each), 0)
        : 0
    const nest = (depth: number): AggregateError =>
      new AggregateError(Array.from({ length: 12 }, () => (depth > 0 ? nest(depth - 1) : new Error('leaf'))))
    expect(count(travel(nest(2)))).toBe(17)
    const round = new AggregateError([])
    round.errors.push(round, round)
    expect(count(travel(round))).toBeLessThanOrEqual(17)
    const wire: WireError = { name: 'AggregateError', message: 'round' }
    wire.errors = Array.from({ length: 1_000 }, () => wire)
    wire.cause = wire
    expect(count(fromWire(structuredClone(wire)))).toBeLessThan(40)
    const odd = { name: 'AggregateError', message: 'x', errors: [null, 5, 'text', { name: 'Error', message: 'y' }] } as unknown as WireError
    expect((fromWire(odd) as AggregateError).errors).toMatchObject([{ message: 'y' }])
    for (const errors of ['text', 5, { length: 3 }])
      expect(fromWire({ ...odd, errors } as unknown as WireError)).not.toBeInstanceOf(AggregateError)
    for (const properties of ['text', 5, null, [1, 2]])
      expect(fromWire({ ...odd, properties } as unknown as WireError)).toBeInstanceOf(Error)
  })

  test('gives its reason with those of its members', () => {
    expect(reasonOf(new AggregateError([new Error('db down.'), 'cache down'], 'All promises were rejected'))).toBe(
      'All promises were rejected: db down; cache down',
    )
    expect(reasonOf(new AggregateError(['a', 'b', 'c', 'd', 'e'], 'many'))).toBe('many: a; b; c; and 2 more')
    expect(reasonOf(new AggregateError([], 'none'))).toBe('none')
  })

  test('with a code of a newer version keeps that code', () => {
    expect(fromWire({ name: 'PlugbayError', message: 'x', code: 'FROM_THE_FUTURE', branded: true })).toMatchObject({
      name: 'PlugbayError',
      code: 'FROM_THE_FUTURE',
    })
  })
})
