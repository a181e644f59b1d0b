/** Answers the watchdog. It asks only where it has a doubt, so that a plugin that is idle wakes for nothing. */
import { readlinkSync } from 'node:fs'
import { type Ask, beat, beatIn, CELL, type Pulse } from '../pulse.js'
import { toldHeap, used } from './own-memory.js'

/** Most threads never need what it gives. Taken now: what a plugin does to `process` later does not matter. */
const builtin = process.getBuiltinModule.bind(process)
/** It is handed the cells that the watchdog reads. */
const { add } = Atomics

export const startHeart = ({ cells, port }: Pulse): void => {
  cells[CELL.tid] = threadNumber()
  port.on('message', (ask: Ask) => {
    if (ask !== 'beat') {
      if (ask === 'collect') collect()
      const memory = used()
      if (ask === 'collect') port.postMessage(toldHeap(memory))
      cells[CELL.used] = (memory.heapUsed + memory.external) / 1024
      add(cells, ask === 'collect' ? CELL.collections : CELL.samples, 1)
    }
    beat()
  })
  // The conversation keeps the thread alive, not this.
  port.unref()
  beatIn(cells)
}

/** On Linux; 0 elsewhere, and where it may not be read. */
const threadNumber = (): number => {
  if (process.platform !== 'linux') return 0
  try {
    // The one path there that a thread under Node's permission model may read. It leads to `<process>/task/<thread>`.
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1))
  } catch {
    return 0
  }
}

let gc: ((options?: { type: 'minor' }) => void) | undefined

/** Only V8 can say what of the memory in use is garbage, and only by collecting it. */
export const collect = (): void => {
  if (gc === undefined) {
    const { setFlagsFromString } = builtin('node:v8')
    setFlagsFromString('--expose-gc')
    gc = builtin('node:vm').runInNewContext('gc') as typeof gc & object
    setFlagsFromString('--no-expose-gc')
  }
  gc()
  // What buffers held is given back beside it, and done when the next one begins.
  gc({ type: 'minor' })
}
