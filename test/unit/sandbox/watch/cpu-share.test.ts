/** The share of a processor over seconds; the looks are made here, at the times they name. */
import { expect, test, vi } from 'vitest'
import { CpuShare } from '#src/sandbox/watch/cpu-share.js'

/** Looks for so many seconds at one that is busy all the time, of which the system tells this. */
const lookedAt = (seconds: number, cpu: (at: number) => number | undefined) => {
  const consequences = { lower: vi.fn(() => true), breached: vi.fn() }
  const share = new CpuShare(0.5, 0, consequences)
  for (let at = 100; at <= seconds * 1_000; at += 100) share.look(at, at, () => cpu(at))
  return consequences
}

test('who takes more than its share gets a lower priority, and has broken the limit when it does so again', () => {
  const { lower, breached } = lookedAt(6, (at) => at)
  expect(lower).toHaveBeenCalledOnce()
  expect(breached).not.toHaveBeenCalled()
  expect(lookedAt(11, (at) => at).breached).toHaveBeenCalledExactlyOnceWith(1)
})

test('where the system never tells, what it was busy counts', () => {
  expect(lookedAt(11, () => undefined).breached).toHaveBeenCalledExactlyOnceWith(1)
})

test('nobody is blamed while a system that tells fails to', () => {
  const { lower, breached } = lookedAt(31, (at) => (at < 3_000 ? at : undefined))
  expect(lower).not.toHaveBeenCalled()
  expect(breached).not.toHaveBeenCalled()
})
