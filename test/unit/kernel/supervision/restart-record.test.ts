/** When a plugin is started again, on a clock that only the test moves. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DEFAULT_RESTART, type EffectiveRestart } from '#src/kernel/options/options.js'
import { RestartRecord } from '#src/kernel/supervision/restart-record.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number): void => void vi.advanceTimersByTime(ms)
const crashed = (record: RestartRecord, policy: EffectiveRestart): number => record.ended(policy).restartIn ?? Number.NaN

describe('the wait before a restart', () => {
  test('doubles from 100 ms to 30 s, and half of it is chance', () => {
    const record = new RestartRecord()
    const policy = { ...DEFAULT_RESTART, max: 100 }
    for (const whole of [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]) {
      const wait = crashed(record, policy)
      expect(wait).toBeGreaterThanOrEqual(whole / 2)
      expect(wait).toBeLessThanOrEqual(whole)
      pass(wait)
      record.up()
    }
  })

  test('is not the same for two plugins', () => {
    const waits = new Set(Array.from({ length: 20 }, () => crashed(new RestartRecord(), DEFAULT_RESTART)))
    expect(waits.size).toBeGreaterThan(10)
  })

  test('begins again after a time of health, not after a time of waiting', () => {
    const record = new RestartRecord()
    const policy = { ...DEFAULT_RESTART, within: 1_000, backoff: { initial: 2_000, max: 64_000, factor: 2 } }
    for (const whole of [2_000, 4_000, 8_000]) {
      expect(crashed(record, policy)).toBeGreaterThanOrEqual(whole / 2)
      pass(whole)
      record.up()
      pass(999)
    }
    pass(1)
    expect(crashed(record, policy)).toBeLessThanOrEqual(2_000)
  })

  test.each([
    { initial: 0, max: 30_000, factor: 2 },
    { initial: 100, max: 30_000, factor: 1e300 },
  ])('is a number for ever, with a backoff of %j', (backoff) => {
    const record = new RestartRecord()
    for (let crash = 0; crash < 3_000; crash++)
      expect(crashed(record, { ...DEFAULT_RESTART, max: 1e6, backoff })).toBeLessThanOrEqual(30_000)
  })
})

test('five crashes in a minute are answered, the sixth is a crash loop; after that the count begins again', () => {
  const record = new RestartRecord()
  for (let round = 0; round < 2; round++) {
    for (let crash = 0; crash < 5; crash++) expect(crashed(record, DEFAULT_RESTART)).toBeLessThanOrEqual(1_600)
    expect(record.ended(DEFAULT_RESTART)).toEqual({ restartIn: undefined, crashes: 6 })
  }
})

test('any crashes at any times: restarted while the window has room, by a wait within its bounds', () => {
  const policies = fc.record({
    policy: fc.constantFrom('permanent', 'transient', 'temporary'),
    max: fc.integer({ min: 0, max: 6 }),
    within: fc.integer({ min: 1, max: 5_000 }),
    strategy: fc.constant('one-for-one'),
    onGiveUp: fc.constant('stop'),
    backoff: fc.record({ initial: fc.nat(500), max: fc.nat(2_000), factor: fc.integer({ min: 1, max: 4 }) }),
  }) as fc.Arbitrary<EffectiveRestart>
  const lives = fc.array(fc.record({ runs: fc.nat(6_000), comesUp: fc.boolean() }), { maxLength: 40 })
  fc.assert(
    fc.property(policies, lives, (policy, crashes) => {
      const { max, within, backoff } = policy
      const record = new RestartRecord()
      let counted: number[] = []
      let streak = 0
      record.up()
      let up: number | undefined = performance.now()
      for (const { runs, comesUp } of crashes) {
        pass(runs)
        const now = performance.now()
        const verdict = record.ended(policy)
        if (policy.policy === 'temporary') {
          expect(verdict).toEqual({ restartIn: undefined, crashes: undefined })
          return
        }
        streak = up !== undefined && now - up >= within ? 1 : streak + 1
        counted = [...counted, now].filter((at) => at > now - within)
        if (counted.length > max) {
          expect(verdict).toEqual({ restartIn: undefined, crashes: counted.length })
          ;[counted, streak] = [[], 0]
        } else {
          const whole = Math.min(backoff.max, backoff.initial * backoff.factor ** (streak - 1))
          expect(verdict.restartIn).toBeGreaterThanOrEqual(whole / 2)
          expect(verdict.restartIn).toBeLessThanOrEqual(whole)
          pass(Math.ceil(verdict.restartIn ?? 0))
        }
        if (comesUp) record.up()
        up = comesUp ? performance.now() : undefined
      }
    }),
    { numRuns: 500 },
  )
})
