import type { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { recordCpu } from '#src/sandbox/cpu-recording.js'

it('of a thread that has ended by the time it is asked for its profile gives none, and fails nobody', async () => {
  // As Node 22 has it.
  const stop = (): Promise<string> =>
    Promise.reject(Object.assign(new Error('Worker instance not running'), { code: 'ERR_WORKER_NOT_RUNNING' }))
  const worker = { threadId: 2 ** 30, startCpuProfile: () => Promise.resolve({ stop }) } as unknown as Worker
  await expect(recordCpu(worker)?.stop(1_000)).resolves.toBeUndefined()
})
