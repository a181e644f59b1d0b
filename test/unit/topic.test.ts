import fc from 'fast-check'
import { Qlobber } from 'qlobber'
import { describe, expect, it } from 'vitest'
import { assertPattern, assertTopic, matches } from '#src/topic.js'

const caught = (act: () => unknown): { code: string; message: string; details: Record<string, unknown> } => {
  try {
    act()
  } catch (error) {
    return error as never
  }
  throw new Error('it did not throw')
}

describe('a topic', () => {
  it.each([
    'a',
    'user.login',
    'a.b.c.d',
    'Überweisung.neu',
    'with-dash.under_score.1',
    'a/b:c',
    '😀.x',
    'x'.repeat(256),
    Array(32).fill('a').join('.'),
  ])('may be %s', (topic) => {
    expect(() => assertTopic(topic)).not.toThrow()
    expect(() => assertPattern(topic)).not.toThrow()
  })

  it.each([
    ['', 'is empty', undefined],
    ['.a', 'empty segment', 0],
    ['a.', 'empty segment', 2],
    ['user..login', 'empty segment', 5],
    ['user. login', 'has " "', 5],
    ['user\tlogin', 'has "\\t"', 4],
    ['user.a\u0000', 'has "\\u0000"', 6],
    ['user.a\u00a0b', 'in it', 6],
    ['user.*', "has a '*'", 5],
    ['user.lo*in', "has a '*'", 7],
    ['**', "has a '*'", 0],
    ['x'.repeat(257), '257 characters', 256],
    [Array(33).fill('a').join('.'), '33 segments', 63],
    [42, 'is a number', undefined],
    [null, 'is null', undefined],
    [undefined, 'is undefined', undefined],
    [{}, 'is an object', undefined],
    [Symbol('s'), 'is a symbol', undefined],
  ])('must not be %s', (topic, what, position) => {
    const { code, message, details } = caught(() => assertTopic(topic))
    expect(code).toBe('TOPIC_INVALID')
    expect(message).toContain(what)
    expect(details['position']).toBe(position)
    if (position !== undefined) expect(message).toContain(`at position ${position}`)
  })

  it('never refuses, and never accepts, differently from the rules spelled out', () => {
    const piece = fc.constantFrom('a', 'b', '.', '.', '*', '**', ' ', '\n', 'é')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = pieces.join('')
        const segments = text.split('.')
        const shapely = segments.length <= 32 && segments.every((segment) => segment !== '' && !/\s/.test(segment))
        const isTopic = shapely && !text.includes('*')
        const isPattern = shapely && segments.every((segment) => !segment.includes('*') || segment === '*' || segment === '**')
        const accepts = (check: (text: unknown) => void) => {
          try {
            check(text)
            return true
          } catch {
            return false
          }
        }
        expect([accepts(assertTopic), accepts(assertPattern)]).toEqual([isTopic, isPattern])
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a pattern', () => {
  it.each(['*', '**', 'a.*', '*.a', '**.a.**', 'a.**.b', '*.*.*', '**.**'])('may be %s', (pattern) => {
    expect(() => assertPattern(pattern)).not.toThrow()
  })

  it.each([
    ['user.lo*', 7],
    ['***', 0],
    ['a.**b', 2],
    ['a..*', 2],
    ['a. .*', 2],
  ])('must not be %s', (pattern, position) => {
    const { code, details } = caught(() => assertPattern(pattern))
    expect(code).toBe('PATTERN_INVALID')
    expect(details['position']).toBe(position)
  })

  it.each([
    ['user.login', 'user.login', true],
    ['user.login', 'user.logout', false],
    ['user.login', 'user', false],
    ['user', 'user.login', false],
    ['user.*', 'user.login', true],
    ['user.*', 'user', false],
    ['user.*', 'user.login.failed', false],
    ['*', 'user', true],
    ['*', 'user.login', false],
    ['*.login', 'user.login', true],
    ['user.**', 'user', true],
    ['user.**', 'user.login', true],
    ['user.**', 'user.login.failed', true],
    ['user.**', 'users.login', false],
    ['**', 'anything', true],
    ['**', 'any.thing.at.all', true],
    ['**.login', 'login', true],
    ['**.login', 'a.b.login', true],
    ['**.login', 'a.login.b', false],
    ['a.**.z', 'a.z', true],
    ['a.**.z', 'a.b.c.z', true],
    ['a.**.z', 'a.b.c', false],
    ['a.**.b.**.c', 'a.x.b.y.z.c', true],
    ['a.**.b.**.c', 'a.x.c.b', false],
    ['**.a.**.a.**', 'a', false],
    ['**.a.**.a.**', 'a.a', true],
    ['*.**', 'a', true],
    ['*.**.*', 'a', false],
    ['*.**.*', 'a.b', true],
  ])('%s against %s is %s', (pattern, topic, expected) => {
    expect(matches(pattern, topic)).toBe(expected)
  })

  it('matches what qlobber matches', () => {
    const word = fc.constantFrom('a', 'b', 'c')
    const topic = fc.array(word, { minLength: 1, maxLength: 7 }).map((words) => words.join('.'))
    const pattern = fc.array(fc.oneof(word, fc.constantFrom('*', '**')), { minLength: 1, maxLength: 6 }).map((words) => words.join('.'))
    fc.assert(
      fc.property(pattern, topic, (pattern, topic) => {
        const oracle = new Qlobber({ wildcard_one: '*', wildcard_some: '**', max_wildcard_somes: 9 })
        oracle.add(pattern, 1)
        expect(matches(pattern, topic)).toBe(oracle.match(topic).length > 0)
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('what is no text', () => {
  it.each<[unknown, string]>([
    [null, 'null'],
    [{}, 'an object'],
    [Symbol('s'), 'a symbol'],
    [undefined, 'undefined'],
  ])('%s is told of by what it is', (value, kind) => {
    expect(() => assertTopic(value)).toThrow(`The topic is ${kind}, not a string. Give a string such as 'user.login'.`)
    expect(() => assertPattern(value)).toThrow(`The pattern is ${kind}, not a string.`)
  })
})
