/** The doors among the globals: every global of a supported Node is judged here, those of the language aside. */
import type { webcrypto } from 'node:crypto'
import { COMPRESSION } from '../../permissions/builtin-modules.js'
import type { Deny } from '../../permissions/denial.js'
import type { Grants } from '../../permissions/grants.js'
import { words } from '../../permissions/words.js'
import { lock } from './lock.js'
import { recordGlobals, type Used } from './recorder.js'
import { standIn } from './stand-in.js'
import { countMemories } from './webassembly-doors.js'

/** They reach the network. */
const NET = ['fetch', 'WebSocket', 'EventSource'] as const

/** Replaced or withheld, where they are not granted. */
export const CLOSED_GLOBALS: readonly string[] = [
  ...NET,
  ...COMPRESSION,
  'BroadcastChannel',
  'SharedArrayBuffer',
  'Crypto',
  'crypto',
  'localStorage',
  'sessionStorage',
  'Storage',
]

/**
 * They reach nothing beyond the thread, nor do they keep the threads busy that the whole process shares. Of `process` and `navigator`
 * single members are closed.
 */
export const OPEN_GLOBALS: readonly string[] = words(`
  AbortController AbortSignal Blob Buffer ByteLengthQueuingStrategy CloseEvent CountQueuingStrategy CryptoKey CustomEvent
  DOMException ErrorEvent Event EventTarget File FormData Headers MessageChannel MessageEvent MessagePort Navigator Performance
  PerformanceEntry PerformanceMark PerformanceMeasure PerformanceObserver PerformanceObserverEntryList PerformanceResourceTiming QuotaExceededError
  ReadableByteStreamController ReadableStream ReadableStreamBYOBReader ReadableStreamBYOBRequest ReadableStreamDefaultController
  ReadableStreamDefaultReader Request Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream
  TransformStreamDefaultController URL URLPattern URLSearchParams WebAssembly WritableStream WritableStreamDefaultController
  WritableStreamDefaultWriter atob btoa clearImmediate clearInterval clearTimeout console constructor global navigator performance process
  queueMicrotask setImmediate setInterval setTimeout structuredClone
`)

/** `used`: while permissions are learnt. */
export const closeGlobals = (grants: Grants, deny: Deny, used?: Used): void => {
  if (grants.net.length === 0) {
    for (const name of NET) {
      if (!(name in globalThis)) continue
      const refused = refusing((target) => deny(`use ${name}`, `net:${hostIn(target)}`, 'connect'))
      replace(name, name === 'fetch' ? rejecting(refused) : refused)
    }
  }
  // Heard by every thread of the process, the kernel's too.
  replace(
    'BroadcastChannel',
    refusing(() => deny('use BroadcastChannel')),
  )
  if (typeof Navigator === 'function' && 'locks' in Navigator.prototype) {
    Object.defineProperty(Navigator.prototype, 'locks', { get: () => deny('use navigator.locks'), configurable: false })
  }
  // Of native code, and constructors: as such they end the process, and nothing is left that they are for.
  for (const name of ['localStorage', 'sessionStorage', 'Storage']) Reflect.deleteProperty(globalThis, name)
  withholdSharedMemory(deny)
  boundWaits(deny)
  withholdResizing(deny)
  withholdSuspending()
  countMemories()
  if (!grants.builtins.includes('zlib')) withholdCompression(deny)
  if (!grants.builtins.includes('crypto')) narrowCrypto()
  if (used) recordGlobals(used)
}

const replace = (name: string, value: unknown): void => {
  // To define it over what is loaded when it is first asked for loads that: some 40 ms for WebSocket.
  Reflect.deleteProperty(globalThis, name)
  Object.defineProperty(globalThis, name, { value, writable: false, enumerable: false, configurable: false })
}

/** To be called or constructed, as what it stands for. */
const refusing = (refuse: (target?: unknown) => never): ((target?: unknown) => never) =>
  function refused(target) {
    return refuse(target)
  }

/** What fails only by its promise. */
const rejecting = (refused: (target?: unknown) => never): ((target?: unknown) => Promise<never>) =>
  async function rejected(target) {
    return refused(target)
  }

/** The host that a request was meant for, with its port where one is named; it may be a text, a URL or a Request. */
const hostIn = (target: unknown): string => {
  try {
    const { url = target } = Object(target) as { url?: unknown }
    return new URL(String(url)).host || '<host>'
  } catch {
    return '<host>'
  }
}

/** No statistics see shared memory. Its prototype stays, for what tells it from other buffers, and leads to no constructor any more. */
const withholdSharedMemory = (deny: Deny): void => {
  const { prototype } = SharedArrayBuffer
  const withheld = refusing(() => deny('use SharedArrayBuffer'))
  Object.defineProperty(withheld, 'prototype', { value: prototype, writable: false })
  lock(prototype, 'constructor', withheld)
  replace('SharedArrayBuffer', withheld)
}

/**
 * V8 takes those that a thread leaves out of a list one by one, each time from its beginning: with ten times as many the thread does not
 * end for half a minute.
 */
const MOST_WAITS = 10_000

/** WebAssembly has shared memory to wait at. */
const boundWaits = (deny: Deny): void => {
  const atomics = Atomics as unknown as { waitAsync: Waiting }
  const { waitAsync } = atomics
  const { apply } = Reflect
  const { then } = Promise.prototype
  let waits = 0
  const over = (): void => {
    waits--
  }
  const { held } = {
    held(...all: unknown[]): ReturnType<Waiting> {
      if (waits >= MOST_WAITS) deny(`wait by Atomics.waitAsync() more than ${MOST_WAITS} times at once`)
      const answer = apply(waitAsync, atomics, all)
      if (answer.async) {
        waits++
        void apply(then, answer.value, [over])
      }
      return answer
    },
  }
  standIn(atomics, 'waitAsync', held)
}

type Waiting = (...all: unknown[]) => { async: boolean; value: Promise<string> }

/**
 * A buffer that can be resized takes mappings of the process, however small it is, and V8 ends the process that has none left. One would
 * do, as a copy of it is another: so none is made. All else is made as ever.
 */
const withholdResizing = (deny: Deny): void => {
  const Whole = ArrayBuffer
  const { construct } = Reflect
  const refuse = (): never => deny('use resizable buffers (maxByteLength)')
  const Held = function (length: number, options?: { maxByteLength?: unknown }): unknown {
    if (new.target === undefined) return Reflect.apply(Whole, undefined, [length])
    if (typeof options === 'object' && options !== null && options.maxByteLength !== undefined) refuse()
    return new.target === Held ? new Whole(length) : construct(Whole, [length], new.target)
  }
  standIn(globalThis, 'ArrayBuffer', Held)
  const { prototype } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: object } } }).WebAssembly.Memory
  if ('toResizableBuffer' in prototype) lock(prototype, 'toResizableBuffer', refuse)
}

/**
 * A call of WebAssembly that is suspended has a stack of its own, which takes mappings as well. What is written for it looks first whether
 * they are there, and does without.
 */
const withholdSuspending = (): void => {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: object }
  for (const name of ['promising', 'Suspending']) Reflect.deleteProperty(WebAssembly, name)
}

/**
 * What one of them is written at once, one job takes, and that cannot be taken back: a plugin that is ended would hold up the files of all
 * others for as long.
 */
const withholdCompression = (deny: Deny): void => {
  for (const name of COMPRESSION) replace(name, uncompressing(name, deny))
}

const uncompressing = (name: string, deny: Deny): ((target?: unknown) => never) =>
  refusing(() => deny(`use ${name}`, 'builtin:zlib', 'import'))

/** The same in `node:stream/web`, where that is asked for. */
export const withholdCompressionStreams = (streams: object, deny: Deny): void => {
  for (const name of COMPRESSION) lock(streams, name, uncompressing(name, deny))
}

/** Random values take no time; `subtle` keeps the threads busy that the whole process shares. */
const narrowCrypto = (): void => {
  const found = Object.getOwnPropertyDescriptor(globalThis, 'crypto')
  // A method on its prototype would be called on the whole of it.
  Reflect.deleteProperty(globalThis, 'Crypto')
  const whole = (): webcrypto.Crypto =>
    found?.get ? (Reflect.apply(found.get, globalThis, []) as webcrypto.Crypto) : (found?.value as webcrypto.Crypto)
  replace(
    'crypto',
    Object.freeze({
      getRandomValues: (array: Uint8Array): unknown => whole().getRandomValues(array),
      randomUUID: (): string => whole().randomUUID(),
    }),
  )
}
