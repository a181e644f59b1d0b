/** A plugin's console: its lines go to the kernel's log instead of straight to the terminal. */
import { Console } from 'node:console'
import { Writable } from 'node:stream'
import { formatWithOptions } from 'node:util'
import type { LogLevel } from '../protocol.js'

const LEVELS = { debug: 'debug', log: 'info', info: 'info', warn: 'warn', error: 'error', trace: 'debug' } as const

const makeConsole = (log: (level: LogLevel, message: string) => void): Console => {
  const stream = (level: LogLevel): Writable =>
    new Writable({
      decodeStrings: false,
      write: (chunk, _encoding, done) => {
        log(level, String(chunk).replace(/\n$/, ''))
        done()
      },
    })
  // table, dir, group, time and the rest format through the streams; the common ones keep their level.
  const captured = new Console({ stdout: stream('info'), stderr: stream('error'), colorMode: false })
  for (const [method, level] of Object.entries(LEVELS)) {
    captured[method as keyof typeof LEVELS] = (...args: unknown[]) => log(level, formatWithOptions({ colors: false }, ...args))
  }
  return captured
}

/** Made when it is first used: most plugins have `ctx.log`. */
export const captureConsole = (log: (level: LogLevel, message: string) => void): void => {
  let captured: Console | undefined
  Object.defineProperty(globalThis, 'console', {
    configurable: true,
    get: () => (captured ??= makeConsole(log)),
    set: (given: Console) => {
      captured = given
    },
  })
}
