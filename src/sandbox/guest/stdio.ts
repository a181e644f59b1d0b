/** A plugin's standard streams: they lead to the kernel's log. Node's own hold the port on which the host's thread takes orders. */
import { Readable, Writable } from 'node:stream'
import { outputLevel } from '../output-level.js'
import type { LogLevel } from '../protocol.js'
import { lock } from './lock.js'

/** The host's side of Node asks for more through this symbol, and ends a thread whose stream does not have it. */
const WANTS_MORE = 'kStdioWantsMoreDataCallback'

export const replaceStdio = (output: (level: LogLevel, text: string) => void): void => {
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = new Writable({
      decodeStrings: false,
      write: (chunk, _encoding, done) => {
        const text = String(chunk).replace(/\n$/, '')
        output(outputLevel(name, text), text)
        done()
      },
    })
    const wantsMore = symbolOf(process[name], WANTS_MORE)
    if (wantsMore) lock(stream, wantsMore, () => {})
    lock(process, name, stream)
  }
  lock(
    process,
    'stdin',
    new Readable({
      read() {
        this.push(null)
      },
    }),
  )
}

const symbolOf = (object: object, description: string): symbol | undefined => {
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertySymbols(at).find((symbol) => symbol.description === description)
    if (found) return found
  }
  return undefined
}
