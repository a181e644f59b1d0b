/** What the operating system says of the processor time of one thread of this process. Linux alone says it. */
import { readdirSync, readFileSync } from 'node:fs'
import { now } from '../clock.js'
import { shortageOf } from '../shortage.js'

export interface CpuTime {
  /** Milliseconds of processor time it has had, in steps of 10. */
  ms: number
  /** It has a processor, or waits for one. */
  runnable: boolean
}

export interface CpuDemand extends CpuTime {
  /** Milliseconds for which it has waited for a processor; 0 where the system does not count them. */
  waited: number
}

/** Linux counts in hundredths of a second, whatever the machine. */
const MS_PER_TICK = 10
const NS_PER_MS = 1e6

/** What a line of /proc tells of a thread or a process, after its name: that is in parentheses, and may hold anything. */
export const statFields = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ')

export const cpuTimeIn = (stat: string): CpuTime & { fields: string[] } => {
  const fields = statFields(stat)
  return { fields, ms: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK, runnable: fields[0] === 'R' }
}

/**
 * Undefined for a thread that is gone, or whose number is not known; and while the system does not tell, as to a process without a free
 * descriptor.
 */
export const threadCpu = (tid: number): CpuDemand | undefined => (tid === 0 ? undefined : cpuAt(`/proc/self/task/${tid}`))

const cpuAt = (place: string): CpuDemand | undefined => {
  try {
    const { ms, runnable } = cpuTimeIn(readFileSync(`${place}/stat`, 'utf8'))
    return { ms, runnable, waited: waitedAt(place) }
  } catch {
    return undefined
  }
}

/**
 * What a thread with this place in /proc has waited for a processor, in ms. A system may be built without a count of it. Throws for want of
 * a descriptor.
 */
const waitedAt = (place: string): number => {
  try {
    return Number(readFileSync(`${place}/schedstat`, 'latin1').split(' ')[1]) / NS_PER_MS
  } catch (error) {
    return noneOf(error, 0)
  }
}

/** To have waited for nothing would be taken for a time with a processor. */
const noneOf = <T>(error: unknown, none: T): T => {
  if (shortageOf(error) !== undefined) throw error
  return none
}

/** The places in /proc of the threads of a process. Throws for want of a descriptor. */
export const threadsOf = (pid: number | 'self'): string[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}`)
  } catch (error) {
    return noneOf(error, []) // not told here, or it has ended
  }
}

const waitedByAll = (threads: readonly string[]): number => threads.reduce((sum, place) => sum + waitedAt(place), 0)

/** What all threads of a process have waited for a processor, in ms. Throws for want of a descriptor. */
export const processWaited = (pid: number): number => waitedByAll(threadsOf(pid))

/**
 * Threads of this process that work for all others, such as those that collect garbage, and the kernel's: they are there before any
 * plugin's.
 */
const helpers = threadsOf('self')
/** Many may ask at the same time; what is as old as this many ms is new enough. */
const AS_GOOD_AS_NEW = 10
let helpersWaitedMs = 0
let askedAt = -Infinity

/** What they have waited for a processor, in ms. */
export const helpersWaited = (): number => {
  const at = now()
  if (at - askedAt >= AS_GOOD_AS_NEW) {
    askedAt = at
    try {
      helpersWaitedMs = waitedByAll(helpers)
    } catch {
      // What they had waited before is all that is known.
    }
  }
  return helpersWaitedMs
}
