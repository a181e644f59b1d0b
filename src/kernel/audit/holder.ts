/** Who holds a folder: a thread of a process, told apart from all that have its numbers before and after it. */
import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { statFields } from '../../sandbox/watch/thread-cpu.js'
import { codeOf } from '../../wire-error.js'

export interface Holder {
  pid: number
  /** Its number, where the system shows it: on Linux. */
  thread?: number
  /** When the thread began, within which boot of the machine; when the process did where threads do not show. */
  started: string
  /** This hold and no other. */
  token: string
}

/** What Linux says of a thread, where it says it. */
interface ThreadStat {
  state: string
  started: string
}

const BOOT = '/proc/sys/kernel/random/boot_id'
/** Where a line of /proc tells when the thread began, after its name. */
const STARTED = 19
/** Its process was ended and nobody has asked for its exit code yet: it holds nothing. */
const ENDED = ['Z', 'X']

const threadStat = (pid: number, thread: number): ThreadStat | undefined => {
  try {
    const fields = statFields(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'))
    return { state: String(fields[0]), started: `${readFileSync(BOOT, 'latin1').trim()}:${fields[STARTED]}` }
  } catch {
    return undefined
  }
}

/** The thread that runs this, as Linux names it: asked at once, since another thread would answer for itself. */
const ownThread = (): number | undefined => {
  try {
    const [pid, , thread] = readlinkSync('/proc/thread-self').split('/').map(Number)
    // A /proc of another container counts differently.
    return pid === process.pid ? thread : undefined
  } catch {
    return undefined
  }
}

/** Seconds on the machine's clock: the same in all threads of a process. */
const processStarted = (): string => String(Math.round(Number(process.hrtime.bigint()) / 1e9 - process.uptime()))

/** The thread that runs this, for one hold. */
export const thisThread = (): Holder => {
  const thread = ownThread()
  const stat = thread === undefined ? undefined : threadStat(process.pid, thread)
  const known = thread !== undefined && stat ? { thread, started: stat.started } : { started: processStarted() }
  return { pid: process.pid, ...known, token: randomUUID() }
}

export const holderText = (holder: Holder): string => `${JSON.stringify(holder)}\n`

/** Undefined for what was not written to its end, or not by a kernel. */
export const readHolder = (text: string): Holder | undefined => {
  try {
    const holder = JSON.parse(text) as Holder
    const { pid, started, token } = holder
    return Number.isSafeInteger(pid) && typeof started === 'string' && typeof token === 'string' ? holder : undefined
  } catch {
    return undefined
  }
}

/** Whether there is a process of that number, and whether it is of a user that this one knows nothing of. */
const processOf = (pid: number): 'there' | 'foreign' | 'gone' => {
  try {
    process.kill(pid, 0)
    return 'there'
  } catch (error) {
    return codeOf(error) === 'EPERM' ? 'foreign' : 'gone'
  }
}

/** Whether it still runs. Where the system does not tell a process from the next one with its number, the number decides. */
export const stillRuns = ({ pid, thread, started }: Holder): boolean => {
  const stat = thread === undefined ? undefined : threadStat(pid, thread)
  if (stat) return stat.started === started && !ENDED.includes(stat.state)
  const there = processOf(pid)
  // Processes of others may be hidden.
  if (thread !== undefined && ownThread() !== undefined) return there === 'foreign'
  if (thread === undefined && pid === process.pid) return Math.abs(Number(started) - Number(processStarted())) <= 1
  return there !== 'gone'
}
