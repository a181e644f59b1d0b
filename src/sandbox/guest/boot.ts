/** A thread's first lines: they run the guest's bundle, from compiled code where the kernel has it. */
import { Script } from 'node:vm'
import { workerData } from 'node:worker_threads'
import type { GuestCode } from '../host/guest-code.js'

const { source, filename, cachedData, compiled } = (workerData as { code: GuestCode }).code
const script = new Script(source, {
  filename,
  // Cloned on its way here, it is no Buffer any more.
  cachedData: cachedData && Buffer.from(cachedData.buffer, cachedData.byteOffset, cachedData.byteLength),
})
const loader = (specifier: string): Promise<unknown> => import(specifier)
/** Given where the kernel wants the compiled code. */
const handOver = compiled && (() => compiled.postMessage(script.createCachedData()))
const run = script.runInThisContext() as (...scope: unknown[]) => void
run({}, require, filename, loader, handOver)
