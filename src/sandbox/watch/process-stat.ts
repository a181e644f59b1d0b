/** What the operating system says of processes. Linux alone says it. */
import { readFileSync } from 'node:fs'
import { type CpuDemand, type CpuTime, cpuTimeIn, processWaited } from './thread-cpu.js'

/** Linux tells memory in pages; those of the machines that Node is made for. */
export const PAGE_BYTES = 4_096
const MB = 2 ** 20
/** Where a line of /proc tells the pages in memory, after the name. */
const RESIDENT = 21

/** The states of one that a signal or a debugger has stopped. */
const STOPPED = ['T', 't']

export interface ProcessStat extends CpuTime {
  /** MB in memory. */
  resident: number
  /** One of them was stopped from outside, and gets nothing done until it is let go on. */
  stopped: boolean
}

export const procText = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // it has ended
  }
}

/** What they take together; undefined where none is there, or the system does not say. */
export const statOf = (pids: readonly number[]): ProcessStat | undefined => {
  const sum: ProcessStat = { ms: 0, runnable: false, resident: 0, stopped: false }
  let found = false
  for (const pid of pids) {
    const stat = procText(`/proc/${pid}/stat`)
    if (stat === '') continue
    found = true
    const { fields, ms, runnable } = cpuTimeIn(stat)
    sum.ms += ms
    sum.runnable ||= runnable
    sum.stopped ||= STOPPED.includes(fields[0] as string)
    sum.resident += (Number(fields[RESIDENT]) * PAGE_BYTES) / MB
  }
  return found ? sum : undefined
}

/** What they take of processors together, and wait for. */
export const processCpu = (pids: readonly number[]): CpuDemand | undefined => {
  const stat = statOf(pids)
  try {
    return stat && { ms: stat.ms, runnable: stat.runnable, waited: pids.reduce((sum, pid) => sum + processWaited(pid), 0) }
  } catch {
    return undefined // for want of a descriptor
  }
}
