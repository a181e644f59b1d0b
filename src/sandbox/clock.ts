/** Time that only goes forward. The global `performance` would say the same, but a thread that touches it loads modules for 2 ms at its start. */

// The global of that name is a getter, which costs more than the clock does.
import process from 'node:process'

/** Milliseconds since some moment. */
export const now = (): number => {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
