/** What this very place has in memory, as Node and V8 tell it. */
import type { ToldHeap } from '../heap-report.js'

/** Most places never need what it gives. Taken now: what a plugin does to `process` later does not matter. */
const builtin = process.getBuiltinModule.bind(process)
/** What `node:v8` would tell too, but most places need that module for nothing else, and it takes a millisecond to load. */
const memoryUsage = process.memoryUsage.bind(process)

export interface Used {
  heapUsed: number
  external: number
  arrayBuffers: number | undefined
}

/**
 * Node reads, beside these, a file that tells what the whole process takes: without a free descriptor it throws, and V8 alone tells of its
 * own, but for the part of buffers.
 */
export const used = (): Used => {
  try {
    return memoryUsage()
  } catch {
    const { used_heap_size, external_memory } = builtin('node:v8').getHeapStatistics()
    return { heapUsed: used_heap_size, external: external_memory, arrayBuffers: undefined }
  }
}

export const toldHeap = ({ arrayBuffers }: Used = used()): ToldHeap => {
  const { getHeapStatistics, getHeapSpaceStatistics } = builtin('node:v8')
  return { heap: getHeapStatistics(), spaces: getHeapSpaceStatistics(), arrayBuffers }
}
