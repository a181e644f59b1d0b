/** Who is blamed for getting nothing done, and who lacks a processor. What the system says is said here. */
import { describe, expect, test } from 'vitest'
import { Standstill } from '#src/sandbox/watch/standstill.js'
import { eventually } from '../../../support/eventually.js'

/** A thread, and what its helpers wait. Times are in ms. */
const stood = (told: { silent: boolean; idle?: number[] } = { silent: false }) => {
  const said = { ms: 0, waited: 0, runnable: false, helpers: 0, idle: [] as number[], ...told }
  const standstill = new Standstill(
    40,
    () => (said.silent ? undefined : { ms: said.ms, waited: said.waited, runnable: said.runnable }),
    () => said.helpers,
    () => said.idle,
  )
  return { said, standstill }
}

describe('one that gets nothing done', () => {
  test('and asks for a processor is blamed once it has had one for six tenths of its limit', () => {
    const { said, standstill } = stood()
    Object.assign(said, { runnable: true, waited: 9_000, helpers: 9_000, ms: 500 })
    expect(standstill.excused(10_000, 1_000)).toBe(true)
    said.ms = 600
    expect(standstill.excused(10_000, 1_000)).toBe(false)
  })

  test('and asks for none is blamed as soon as its limit has passed, where nobody lacks one', () => {
    const { standstill } = stood()
    expect([standstill.excused(999, 1_000), standstill.excused(1_000, 1_000)]).toEqual([true, false])
  })

  test.each(['waited', 'helpers'] as const)('is not blamed for the time in which there was no processor for it (%s)', (who) => {
    const { said, standstill } = stood()
    said[who] = 600
    expect([standstill.excused(1_599, 1_000), standstill.excused(1_600, 1_000)]).toEqual([true, false])
  })

  test('is blamed after four times its limit, however few processors there are', () => {
    const { said, standstill } = stood()
    said.helpers = 1e6
    expect([standstill.excused(3_999, 1_000), standstill.excused(4_000, 1_000)]).toEqual([true, false])
  })

  test.each([
    ['is told of it', { silent: true }],
    ['is told of it any more', { silent: false }],
  ])('is blamed after four times its limit, and for what is not known, where nothing %s', (_, told) => {
    const { said, standstill } = stood(told)
    said.silent = true
    expect([standstill.excused(3_999, 1_000), standstill.excused(4_000, 1_000), standstill.takes()]).toEqual([true, false, undefined])
  })

  test('computes by what it has had of the time in which it did not wait for a processor', async () => {
    const { said, standstill } = stood()
    said.ms = 10
    await eventually(() => expect(standstill.takes()?.share).toBeLessThan(0.5))
    said.waited = 1e6
    expect(standstill.takes()).toEqual({ runnable: false, share: 1 })
    said.ms = 0
    expect(standstill.takes()).toEqual({ runnable: false, share: 0 })
  })

  test('is blamed as soon as a processor had nothing to do for its limit, where nothing else is told', () => {
    const { said, standstill } = stood({ silent: true, idle: [5_000, 7_000] })
    said.idle = [5_000, 7_959]
    expect(standstill.excused(2_000, 1_000)).toBe(true)
    said.idle = [5_000, 7_960]
    expect(standstill.excused(2_000, 1_000)).toBe(false)
  })
})
