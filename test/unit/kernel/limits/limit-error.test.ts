import { describe, expect, test } from 'vitest'
import { limitError } from '#src/kernel/limits/limit-error.js'

const HANG = { limit: 'hang', allowed: 500, observed: 600 } as const

describe('the message of a broken limit', () => {
  test('names why a place that computes could not be looked into', () => {
    expect(limitError('p', 1, 'thread', { ...HANG, how: 'computing' }).message).toMatch(/it did not answer the profiler.*version 24/)
    expect(limitError('p', 1, 'process', { ...HANG, how: 'computing' }).message).toMatch(/cannot be told: processes are not profiled\.$/)
    expect(limitError('p', 1, 'process', { ...HANG, how: 'unknown' }).message).not.toContain('profile')
  })

  test('tells a process that a signal has stopped from one that is blocked', () => {
    const { message } = limitError('p', 1, 'process', { ...HANG, how: 'stopped' })
    expect(message).toMatch(/was stopped by a signal or a debugger\. Let it go on \(SIGCONT\), or raise the limit\.$/)
    expect(message).not.toContain('Atomics')
  })

  test('says what to look for in memory that V8 counts nowhere', () => {
    const memory = {
      limit: 'memory',
      allowed: 64,
      observed: 300,
      heap: { heap: 5, external: 3, nativeContexts: 1, detachedContexts: 0 },
    } as const
    expect(limitError('p', 1, 'thread', memory).message).not.toContain('nowhere')
    expect(limitError('p', 1, 'thread', { ...memory, uncounted: 292 }).message).toContain('V8 counts 292 MB of it nowhere: Blobs')
  })
})
