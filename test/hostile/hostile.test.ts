/** Each offender beside innocents: the process lives, they lose nothing, and the offender ends as its row says. */
import { afterAll, describe, expect, it } from 'vitest'
import { face, type Outcome } from './arena.js'
import { OFFENDERS } from './offenders.js'

/** On a machine that does nothing else a call's p99 stays under 25 ms, under 50 ms for memory in one piece and floods; here others may run. */
const LOADED = 250

describe('a plugin that', () => {
  const outcomes: Outcome[] = []
  afterAll(() => {
    for (const { does, end, ms, p99, max } of outcomes)
      process.stdout.write(
        `${does.padEnd(52)} ${end.padEnd(18)} ${ms.toFixed(0).padStart(6)} ms   p99 ${p99.toFixed(1)} ms   max ${max.toFixed(1)} ms\n`,
      )
  })

  it.each(OFFENDERS)('$does', { timeout: 60_000 }, async (offender) => {
    const outcome = await face(offender)
    outcomes.push(outcome)
    expect(outcome.p99).toBeLessThan(LOADED)
  })
})
