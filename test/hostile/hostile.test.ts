/**
 * Each offender beside innocents, one after the other: the process lives, they lose nothing and hardly wait, and the offender ends as its
 * row says.
 */
import { afterAll, describe, expect, it, onTestFailed } from 'vitest'
import { bareCalls } from '../support/bare-calls.js'
import { type Arena, type Outcome, openArena } from './arena.js'
import { OFFENDERS } from './offenders.js'

describe('a plugin that', () => {
  const beside = bareCalls()
  const outcomes: Outcome[] = []
  let arena: Arena | undefined
  const close = async (): Promise<void> => {
    const closed = arena?.close()
    arena = undefined
    await closed
  }
  afterAll(async () => {
    await close()
    beside.end()
    for (const { does, end, ms, p99, max, bare } of outcomes)
      process.stdout.write(
        `${does.padEnd(62)} ${end.padEnd(20)} ${ms.toFixed(0).padStart(6)} ms   p99 ${p99.toFixed(1)} ms   max ${max.toFixed(1)} ms   bare ${bare.toFixed(1)} ms\n`,
      )
  })

  it.each(OFFENDERS)('$does', { timeout: 60_000 }, async (offender) => {
    const faced = async (): Promise<number> => {
      arena ??= await openArena()
      const outcome = await arena.face(offender, beside)
      outcomes.push(outcome)
      // Where others use the machine too, what they cost is taken off: twice, as an answer may wait for a processor, and so may the call.
      return outcome.p99 - 2 * outcome.bare - outcome.promised
    }
    // The same innocents face them all, but for those that suffered: the next find others.
    onTestFailed(close)
    if ((await faced()) < 0) return
    // A moment of the machine's own may hit three calls of ours and none of theirs, but not twice.
    await close()
    expect(await faced()).toBeLessThan(0)
  })
})
