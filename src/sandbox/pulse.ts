/**
 * A thread's signs of life: cells in shared memory that it writes and the watchdog reads, and a wire of their own, which no data can hold
 * up.
 */
import type { MessagePort } from 'node:worker_threads'
import { now } from './clock.js'

/** The thread's end. */
export interface Pulse {
  cells: Int32Array
  port: MessagePort
}

export const CELL = {
  /** Counts what the thread gets done: frames read, replies written, events handled, answers to the watchdog. 0: it boots. */
  beats: 0,
  /** Its number in the operating system, where it can tell. */
  tid: 1,
  /** KB of heap and external memory, when it was last asked. */
  used: 2,
  /** How often it has answered `sample`. */
  samples: 3,
  /** How often it has answered `collect`. */
  collections: 4,
  /** How often it has had WebAssembly make memories. */
  memories: 5,
  /** … and how many of these it was seen to have let go of. */
  freed: 6,
} as const

/** What the watchdog asks: to show that the event loop turns, to say what memory is used, or to say it after a garbage collection. */
export type Ask = 'beat' | 'sample' | 'collect'

export const newCells = (): Int32Array => new Int32Array(new SharedArrayBuffer(Object.keys(CELL).length * Int32Array.BYTES_PER_ELEMENT))

/** Milliseconds between two signs that a process gives by itself. */
const SIGN_AFTER = 50

let own: Int32Array | undefined
let sign: (() => void) | undefined

/** From now on `beat` counts in these cells. */
export const beatIn = (cells: Int32Array): void => {
  own = cells
  beat()
}

/** From now on `beat` tells of itself, now and then: a process shares no memory with the one that watches it. */
export const beatBy = (tell: () => void): void => {
  let last = now()
  sign = () => {
    const at = now()
    if (at - last < SIGN_AFTER) return
    last = at
    tell()
  }
  tell()
}

/** It has had WebAssembly make memories. Returns how often by now; in a thread that nobody watches 0. */
export const madeMemories = (): number => (own === undefined ? 0 : (own[CELL.memories] = (own[CELL.memories] as number) + 1))

export const freedMemories = (): void => {
  if (own !== undefined) own[CELL.freed] = (own[CELL.freed] as number) + 1
}

/** The thread got something done. In the kernel's own thread, which nobody watches, it does nothing. */
export const beat = (): void => {
  // Only this thread writes here, and it does not matter whether the reader sees this count or the next.
  if (own !== undefined) own[CELL.beats] = (own[CELL.beats] as number) + 1
  else if (sign !== undefined) sign()
}
