/** What is said of a place that ended by itself. */
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { crashError } from '#src/kernel/supervision/crash-error.js'
import { isExhausted } from '#src/sandbox/host/thread.js'

test.each([
  [
    'ended for want of memory is not told to catch an error',
    'const kept = []; for (;;) kept.push({ at: kept.length })',
    'V8 ended its thread, which had no memory left. Look for what keeps growing in it, or takes much at once (limits.memory).',
  ],
  [
    'did not end, whatever the error that ended it says, is',
    "throw Object.assign(new Error('mine'), { code: 'ERR_WORKER_OUT_OF_MEMORY' })",
    'an uncaught error ended it: mine. Catch the error where it happens; see its stack in the cause.',
  ],
])('a thread that V8 %s', async (_, code, says) => {
  const worker = new Worker(code, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 16 } })
  const crash = await new Promise<Error>((resolve) =>
    worker.once('error', (error) => {
      const exit = { expected: false, error, exhausted: isExhausted(worker, error) }
      resolve(crashError('greedy', exit, 'while it was running'))
    }),
  )
  expect(crash.message).toBe(`Plugin 'greedy' crashed while it was running: ${says}`)
})
