/** What the operating system says of one thread of this process. Linux alone says it. */
import { readFileSync } from 'node:fs'

export interface ThreadCpu {
  /** Milliseconds of processor time it has had, in steps of 10. */
  ms: number
  /** It has a processor, or waits for one. */
  runnable: boolean
}

/** Linux counts in hundredths of a second, whatever the machine. */
const MS_PER_TICK = 10

/** Undefined for a thread that is gone, or whose number is not known. */
export const threadCpu = (tid: number): ThreadCpu | undefined => {
  if (tid === 0) return undefined
  try {
    const stat = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8')
    // The second field is a name in parentheses, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { ms: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK, runnable: fields[0] === 'R' }
  } catch {
    return undefined
  }
}
