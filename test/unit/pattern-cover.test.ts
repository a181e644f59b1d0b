/** A permission covers a pattern when it allows all topics the pattern can match: held against trying every short topic there is. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers } from '#src/pattern-cover.js'
import { matches } from '#src/topic.js'

/** All topics of one to five segments over three letters; `z` stands in no pattern. */
const topics: string[] = []
for (let layer = ['a', 'b', 'z'], depth = 1; depth <= 5; depth++) {
  topics.push(...layer)
  layer = layer.flatMap((topic) => ['a', 'b', 'z'].map((segment) => `${topic}.${segment}`))
}

const byBruteForce = (allowed: readonly string[], pattern: string): boolean =>
  topics.every((topic) => !matches(pattern, topic) || allowed.some((each) => matches(each, topic)))

const patternOf = (maxLength: number) =>
  fc.array(fc.constantFrom('a', 'b', '*', '**'), { minLength: 1, maxLength }).map((segments) => segments.join('.'))

describe('covering a pattern', () => {
  test.each([
    ['user.*', 'user.login', true],
    ['user.*', 'user.*', true],
    ['user.*', 'user.**', false],
    ['user.**', 'user.*', true],
    ['user.**', 'user', true],
    ['*.**', '**', true],
    ['**.*', '*.**', true],
    ['**', '**.a.**', true],
    ['a.*.**', 'a.**.a', true],
    ['a.**.b', 'a.**.b.b', true],
    ['a.*.b', 'a.**.b', false],
    ['*', '**', false],
    ['**.a.**', '**', false],
  ])("'%s' over '%s': %s", (allowed, pattern, covered) => {
    expect(covers([allowed], pattern)).toBe(covered)
  })

  test('several permissions cover together what none of them does alone', () => {
    expect(covers(['user', 'user.*.**'], 'user.**')).toBe(true)
    expect(covers(['user', 'user.*'], 'user.**')).toBe(false)
    expect(covers(['user.login', 'user.logout'], 'user.*')).toBe(false)
    expect(covers([], 'user')).toBe(false)
  })

  test('of one pattern by another is what trying every short topic says', () => {
    fc.assert(
      fc.property(patternOf(3), patternOf(3), (allowed, pattern) => {
        expect([allowed, pattern, covers([allowed], pattern)]).toEqual([allowed, pattern, byBruteForce([allowed], pattern)])
      }),
      { numRuns: 3_000 },
    )
  })

  test('by several together is what trying every short topic says', () => {
    fc.assert(
      fc.property(fc.array(patternOf(2), { maxLength: 3 }), patternOf(3), (allowed, pattern) => {
        expect([allowed, pattern, covers(allowed, pattern)]).toEqual([allowed, pattern, byBruteForce(allowed, pattern)])
      }),
      { numRuns: 3_000 },
    )
  })

  test('whatever a covered pattern matches, one of the permissions matches', () => {
    fc.assert(
      fc.property(fc.array(patternOf(6), { maxLength: 3 }), patternOf(6), fc.constantFrom(...topics), (allowed, pattern, topic) => {
        if (covers(allowed, pattern) && matches(pattern, topic)) expect(allowed.some((each) => matches(each, topic))).toBe(true)
      }),
      { numRuns: 3_000 },
    )
  })

  test('by thousands that are written as people write them is found', () => {
    const many = Array.from({ length: 5_000 }, (_, i) => `tenant-${i}.orders.**`)
    expect(covers(many, 'tenant-4999.orders.*.paid')).toBe(true)
    expect(covers(many, 'tenant-4999.**')).toBe(false)
    expect(covers([...many, '*.orders.**'], '*.orders.**.paid')).toBe(true)
  })

  test('of patterns made to be hard ends, with a refusal', () => {
    const hard = Array.from({ length: 16 }, () => '**.a').join('.')
    const began = performance.now()
    expect(covers([hard], Array.from({ length: 15 }, () => '**.a').join('.'))).toBe(false)
    expect(covers([`${hard}`, `b.${Array.from({ length: 15 }, () => '**.a').join('.')}`], `*.${hard.slice(0, -5)}.b`)).toBe(false)
    const many = Array.from({ length: 1_500 }, (_, i) => `**.a${i % 7}.**.b.**.c${i}.**`)
    for (let i = 0; i < 50; i++) expect(covers(many, `**.a1.*.b.c.d.e.f.z${i}.c`)).toBe(false)
    // A publisher waits for no one's riddles: seconds would be a hole in the wall.
    expect(performance.now() - began).toBeLessThan(5_000)
  })
})
