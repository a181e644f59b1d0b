/** The guest's bundle, compiled once for all threads of this process: each would spend a tenth of its start on compiling it again. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'

/** What a thread runs first. */
export interface GuestCode {
  /** The bundle as a function of what a CommonJS module finds in its scope. */
  source: string
  filename: string
  /** V8's; a thread to which it means nothing compiles the source. */
  cachedData: Uint8Array | undefined
}

/** `guest/thread.ts` and all it imports, in one file: scripts/bundle-guest.mjs makes it. */
const BUNDLE = new URL('../guest/thread.cjs', import.meta.url)

let code: GuestCode | undefined

/** The first thread of a process gets the source alone: it may be the only one. */
export const guestCode = (): GuestCode => {
  if (code === undefined) {
    // In one line with the first of the bundle: stacks and source maps count lines.
    const source = `(function (exports, require, __filename, loader) {${readFileSync(BUNDLE, 'utf8')}\n})`
    code = { source, filename: fileURLToPath(BUNDLE), cachedData: undefined }
  } else code.cachedData ??= compiled(code)
  return code
}

const compiled = ({ source, filename }: GuestCode): Uint8Array => new Script(source, { filename }).createCachedData()
