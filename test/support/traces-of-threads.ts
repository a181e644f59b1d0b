/** What a process has open: threads and descriptors, as the system counts them. */
import { readdirSync } from 'node:fs'
import { eventually } from './eventually.js'

/** Worker threads of this process that live, counted by Node's own report. */
export const workerThreads = (): number => (process.report.getReport() as unknown as { workers: unknown[] }).workers.length

/** Open descriptors of this process; 0 where the system does not tell. */
export const descriptors = (): number => {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}

/** Resolves when no more is open than there was. */
export const backTo = (before: { threads: number; descriptors: number }): Promise<void> =>
  eventually(() => {
    const now = { threads: workerThreads(), descriptors: descriptors() }
    if (now.threads > before.threads || now.descriptors > before.descriptors) {
      throw new Error(`threads ${before.threads} → ${now.threads}, descriptors ${before.descriptors} → ${now.descriptors}`)
    }
  })

export const openNow = (): { threads: number; descriptors: number } => ({ threads: workerThreads(), descriptors: descriptors() })
