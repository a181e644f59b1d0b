/** A plugin's standard streams: they lead to the kernel's log. Node's own hold the port on which the host's thread takes orders. */
import stream from 'node:stream'
import { outputLevel } from '../log/output-level.js'
import type { LogLevel } from '../protocol.js'
import { lock } from './doors/lock.js'

/** The host's side of Node asks for more through this symbol, and ends a thread whose stream does not have it. */
const WANTS_MORE = 'kStdioWantsMoreDataCallback'

// The plugin may change what it finds in the realm: taken before it runs.
const { Readable, Writable } = stream

export const replaceStdio = (output: (level: LogLevel, text: string) => void): void => {
  for (const name of ['stdout', 'stderr'] as const) {
    const wantsMore = symbolOf(process[name], WANTS_MORE)
    replace(name, () => {
      const written = new Writable({
        decodeStrings: false,
        write: (chunk, _encoding, done) => {
          const said = String(chunk)
          const text = said.replace(/\n$/, '')
          // Nothing is no line: Node writes it for a child that wrote nothing.
          if (said !== '') output(outputLevel(name, text), text)
          done()
        },
      })
      if (wantsMore) lock(written, wantsMore, () => {})
      return written
    })
  }
  replace(
    'stdin',
    () =>
      new Readable({
        read() {
          this.push(null)
        },
      }),
  )
}

/** For all time, by a stream that is made when it is first asked for: most plugins have `ctx.log`. */
const replace = (name: 'stdin' | 'stdout' | 'stderr', make: () => stream): void => {
  let made: stream | undefined
  Object.defineProperty(process, name, { get: () => (made ??= make()), enumerable: true, configurable: false })
}

const symbolOf = (object: object, description: string): symbol | undefined => {
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertySymbols(at).find((symbol) => symbol.description === description)
    if (found) return found
  }
  return undefined
}
