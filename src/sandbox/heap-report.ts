/** What the memory of a thread is made of, as it tells it itself or as it is seen from outside. */
import type { HeapInfo, HeapSpaceInfo } from 'node:v8'

/** In MB. */
export interface HeapReport {
  heap: number
  /** Outside of the heap and held by it: buffers, and what native code keeps. */
  external: number
  /** The part of `external` that is ArrayBuffers; only the thread itself can tell. */
  arrayBuffers?: number
  /** The heap by V8's spaces, the largest first; only the thread itself can tell. */
  spaces?: Record<string, number>
  /** Contexts of `node:vm` and the like, its own among them; many that are detached are a leak. */
  nativeContexts: number
  detachedContexts: number
}

/** What a thread says after a garbage collection. */
export interface ToldHeap {
  heap: HeapInfo
  spaces: HeapSpaceInfo[]
  /** Undefined where it could not be read. */
  arrayBuffers: number | undefined
}

/** Node types know this of their own thread's heap only. */
export type SeenHeap = Pick<HeapInfo, 'used_heap_size' | 'external_memory' | 'number_of_native_contexts' | 'number_of_detached_contexts'>

const inMB = (bytes: number): number => Math.round(bytes / 2 ** 20)

/** How V8 calls its spaces, and more than it has. What is told may be anything. */
const SPACE = /^\w{1,64}$/
const MOST_SPACES = 64

export const reportOf = (heap: SeenHeap): HeapReport => ({
  heap: inMB(heap.used_heap_size),
  external: inMB(heap.external_memory),
  nativeContexts: Number(heap.number_of_native_contexts),
  detachedContexts: Number(heap.number_of_detached_contexts),
})

/** Throws where what is told is no such thing: a plugin may have a hand in it. */
export const reportOfTold = ({ heap, spaces, arrayBuffers }: ToldHeap): HeapReport => {
  if (spaces.length > MOST_SPACES || !spaces.every(({ space_name }) => SPACE.test(space_name)))
    throw new TypeError('These are no spaces of a heap.')
  const sizes = spaces.map(({ space_name, space_used_size }): [string, number] => [space_name, inMB(space_used_size)])
  const largest = sizes.filter(([, size]) => size > 0).sort(([, a], [, b]) => b - a)
  return { ...reportOf(heap), ...(arrayBuffers !== undefined && { arrayBuffers: inMB(arrayBuffers) }), spaces: Object.fromEntries(largest) }
}
