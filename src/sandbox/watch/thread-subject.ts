/** A thread as the watchdog's end knows it. */
import type { MessagePort, Worker } from 'node:worker_threads'
import { CELL } from '../pulse.js'
import { Standstill } from './standstill.js'
import { helpersWaited, threadCpu } from './thread-cpu.js'

/** The kernel's end of a thread's signs of life. */
export interface ThreadSubject {
  worker: Worker
  cells: Int32Array
  /** Where it is asked. */
  asks: MessagePort
}

/** Its number in the operating system; 0 where that is not known. */
export const tidOf = ({ cells }: ThreadSubject): number => cells[CELL.tid] as number

/** From now on, after it had got nothing done for `doubt` ms. */
export const standstillOf = (subject: ThreadSubject, doubt: number): Standstill =>
  new Standstill(doubt, () => threadCpu(tidOf(subject)), helpersWaited)
