/** The guest's bundle, compiled once for all threads of this process: each would spend a tenth of its start on compiling it again. */
import { readFileSync } from 'node:fs'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { guestFile } from './guest-file.js'

/** What a thread runs first. */
export interface GuestCode {
  /** The bundle as a function of what a CommonJS module finds in its scope. */
  source: string
  filename: string
  /** V8's; a thread to which it means nothing compiles the source. */
  cachedData: Uint8Array | undefined
  /** Where the thread hands over the code as it has compiled it. To be transferred. */
  compiled: MessagePort | undefined
}

let source: string | undefined
let cachedData: Uint8Array | undefined
let asked = false

/**
 * `guest/thread.ts` and all it imports, in one file: scripts/bundle-guest.mjs makes it. The first thread of a process gets the source alone
 * and compiles it for all others, with what a rehearsal shows to be needed.
 */
export const guestCode = (): GuestCode => {
  const filename = guestFile('thread.cjs')
  // In one line with the first of the bundle: stacks and source maps count lines.
  source ??= `(function (exports, require, __filename, loader, compiled) {${readFileSync(filename, 'utf8')}\n})`
  const code: GuestCode = { source, filename, cachedData, compiled: undefined }
  if (!asked) {
    const { port1, port2 } = new MessageChannel()
    asked = true
    // From before the thread has a plugin: what a plugin could give would run in all others.
    port1.once('message', (data: Uint8Array) => {
      // Shared rather than copied into each thread.
      cachedData = new Uint8Array(new SharedArrayBuffer(data.length))
      cachedData.set(data)
      port1.close()
    })
    port1.once('close', () => {
      asked = cachedData !== undefined
    })
    port1.unref()
    code.compiled = port2
  }
  return code
}
