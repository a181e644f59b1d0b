/** How often a plugin is restarted at most, on a clock that only the test moves. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RestartPace } from '#src/kernel/supervision/restart-pace.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number): void => void vi.advanceTimersByTime(ms)

test('twenty restarts need not wait, and after them there is one a second for ever', () => {
  const pace = new RestartPace()
  for (let restart = 0; restart < 20; restart++) expect(pace.next()).toBe(0)
  for (let restart = 0; restart < 1_000; restart++) {
    const wait = pace.next()
    expect(wait).toBe(1_000)
    pass(wait)
  }
})

test('one that crashes less often has its twenty again, one by one', () => {
  const pace = new RestartPace()
  for (let restart = 0; restart < 20; restart++) pace.next()
  pass(5_000)
  for (let restart = 0; restart < 5; restart++) expect(pace.next()).toBe(0)
  expect(pace.next()).toBe(1_000)
  pass(3_600_000)
  for (let restart = 0; restart < 20; restart++) expect(pace.next()).toBe(0)
  expect(pace.next()).toBe(1_000)
})
