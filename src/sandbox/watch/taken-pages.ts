/** What a thread has taken of the process's memory, whatever no counter of V8's shows: told by its page faults. Linux alone says it. */
import { readFileSync } from 'node:fs'
import { codeOf } from '../../wire-error.js'
import { PAGE_BYTES } from './process-stat.js'
import { statFields } from './thread-cpu.js'

/** MB. A page that is touched for the first time is a fault of the thread that touches it; to give pages back is none. */
export interface ProcessPages {
  resident: number
  /** Taken since the process began, by all its threads, also those that have ended. */
  faults: number
  /** Addresses, whether there is memory behind them or not. */
  reserved: number
}

/** `accounted`: MB that its threads say they have. */
export interface ProcessTaken extends ProcessPages {
  accounted: number
}

const MB = 2 ** 20
const inMB = (pages: number): number => (pages * PAGE_BYTES) / MB

/** Where a line of /proc tells these, after the name. */
const MINOR_FAULTS = 7
const MAJOR_FAULTS = 9
const RESERVED_BYTES = 20
const RESIDENT = 21

const read = (path: string): ProcessPages | undefined => {
  try {
    const fields = statFields(readFileSync(path, 'latin1'))
    const at = (field: number): number => inMB(Number(fields[field]))
    return { resident: at(RESIDENT), faults: at(MINOR_FAULTS) + at(MAJOR_FAULTS), reserved: Number(fields[RESERVED_BYTES]) / MB }
  } catch {
    return undefined // not told here, or the thread has ended
  }
}

export const processPages = (): ProcessPages | undefined => (process.platform === 'linux' ? read('/proc/self/stat') : undefined)

let huge: boolean | undefined

/** One fault takes one page. Where everybody is given huge ones instead, what faults tell is too little, of others too. */
export const faultsTell = (): boolean => {
  try {
    huge ??= readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'latin1').includes('[always]')
  } catch (error) {
    // Where it is there and cannot be read now, nobody knows.
    if (codeOf(error) !== 'ENOENT') return false
    huge = false // a system without them
  }
  return !huge
}

export class TakenPages {
  /**
   * MB that it holds at least: what the process has grown by, nobody else can have taken, and nobody else says to have, since the time for
   * which that is most.
   */
  held = 0
  #process: ProcessPages | undefined
  #own = 0
  /** What nobody else said to have at that time. */
  #before = 0

  /** `process`: before the thread began, or now. `tid`: 0 for one that has not begun. */
  constructor(process: ProcessTaken | undefined, tid: number) {
    const own = tid === 0 ? 0 : faultsOf(tid)
    // Without both it is counted from the first time that both are told.
    if (process === undefined || own === undefined) return
    this.#process = process
    this.#before = process.resident - process.accounted
    this.#own = own
  }

  /** `used`: what of `accounted` the thread itself says to have. False where the system does not tell of the thread now. */
  count(process: ProcessTaken, tid: number, used: number): boolean {
    const own = faultsOf(tid)
    if (own === undefined) return false
    const ofNobodyElse = process.resident - (process.accounted - used)
    if (this.#process !== undefined) {
      const taken = own - this.#own
      const byOthers = process.faults - this.#process.faults - taken
      // What was given back may all have been its own; and nothing that was not its own is its.
      const held = this.held + Math.min(taken, process.resident - this.#process.resident - byOthers)
      // What it has handed over to others is theirs, also when they let go of it.
      this.held = Math.max(0, Math.min(held, ofNobodyElse - this.#before))
    }
    if (this.held === 0) this.#before = ofNobodyElse
    this.#process = process
    this.#own = own
    return true
  }
}

const faultsOf = (tid: number): number | undefined => (tid === 0 ? undefined : read(`/proc/self/task/${tid}/stat`)?.faults)
