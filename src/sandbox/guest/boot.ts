/** A thread's first lines: they run the guest's bundle, from compiled code where the kernel has it. */
import { createRequire } from 'node:module'
import { Script } from 'node:vm'
import { workerData } from 'node:worker_threads'
import type { GuestCode } from '../host/guest-code.js'

const { source, filename, cachedData } = (workerData as { code: GuestCode }).code
const script = new Script(source, {
  filename,
  // Cloned on its way here, it is no Buffer any more.
  cachedData: cachedData && Buffer.from(cachedData.buffer, cachedData.byteOffset, cachedData.byteLength),
})
const loader = (specifier: string): Promise<unknown> => import(specifier)
const run = script.runInThisContext() as (...scope: unknown[]) => void
run({}, createRequire(filename), filename, loader)
