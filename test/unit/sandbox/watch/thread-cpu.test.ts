import { readlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { threadCpu } from '#src/sandbox/watch/thread-cpu.js'

describe('the processor time of a thread', () => {
  test('is not known of a thread without a number, or of one that is not there', () => {
    expect(threadCpu(0)).toBeUndefined()
    expect(threadCpu(2 ** 30)).toBeUndefined()
  })

  test.runIf(process.platform === 'linux')('grows while it computes', () => {
    const tid = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    const before = threadCpu(tid)
    expect(before?.runnable).toBe(true)
    while ((threadCpu(tid)?.ms ?? 0) < (before?.ms ?? 0) + 20);
    expect(threadCpu(tid)?.ms).toBeGreaterThan(before?.ms ?? 0)
  })
})
