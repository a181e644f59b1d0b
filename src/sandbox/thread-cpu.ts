/** What the operating system says of the processor time of one thread of this process. Linux alone says it. */
import { readFileSync } from 'node:fs'

export interface CpuTime {
  /** Milliseconds of processor time it has had, in steps of 10. */
  ms: number
  /** It has a processor, or waits for one. */
  runnable: boolean
}

/** Linux counts in hundredths of a second, whatever the machine. */
const MS_PER_TICK = 10

/** What a line of /proc tells of a thread or a process, after its name: that is in parentheses, and may hold anything. */
export const statFields = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ')

export const cpuTimeIn = (stat: string): CpuTime & { fields: string[] } => {
  const fields = statFields(stat)
  return { fields, ms: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK, runnable: fields[0] === 'R' }
}

/** Undefined for a thread that is gone, or whose number is not known. */
export const threadCpu = (tid: number): CpuTime | undefined => {
  if (tid === 0) return undefined
  try {
    const { ms, runnable } = cpuTimeIn(readFileSync(`/proc/self/task/${tid}/stat`, 'utf8'))
    return { ms, runnable }
  } catch {
    return undefined
  }
}
