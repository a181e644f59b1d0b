import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { crashError } from '#src/kernel/crash-error.js'

test('a thread that V8 ended for want of memory is not told to catch an error', async () => {
  const worker = new Worker('const kept = []; for (;;) kept.push({ at: kept.length })', {
    eval: true,
    resourceLimits: { maxOldGenerationSizeMb: 16 },
  })
  const error = await new Promise<Error>((resolve) => worker.once('error', resolve))
  const crash = crashError('greedy', { expected: false, error }, 'while it was running')
  expect(crash.message).toBe(
    "Plugin 'greedy' crashed while it was running: V8 ended its thread, which had no memory left. Look for what keeps growing in it, or takes much at once (limits.memory).",
  )
})
