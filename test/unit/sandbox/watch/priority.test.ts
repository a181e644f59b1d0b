/** A process that takes too much, in a host that may have been started with a low priority itself. */
import { spawn } from 'node:child_process'
import { getPriority, setPriority } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { lowerPriority } from '#src/sandbox/watch/priority.js'

/** A process that waits; what it begins with is this test's own priority. */
const waiting = (): number => {
  const child = spawn('cat')
  onTestFinished(() => void child.kill('SIGKILL'))
  return child.pid as number
}

test.skipIf(process.platform === 'win32')('a priority only ever gets lower, and it is told where it cannot', () => {
  const pid = waiting()
  const before = getPriority(pid)
  if (before < 15) setPriority(pid, 15)
  expect(lowerPriority(pid)).toBe(before < 19)
  expect(getPriority(pid)).toBe(19)
  expect(lowerPriority(pid)).toBe(false)
  expect(getPriority(pid)).toBe(19)
})

test.skipIf(process.platform === 'win32')('one that has ended is told as not lowered', () => {
  expect(lowerPriority(2 ** 30)).toBe(false)
})
