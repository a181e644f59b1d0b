/**
 * Time that only goes forward. The global `performance` would say the same, but a thread that touches it loads modules for 2 ms at its
 * start.
 */

/** The global is behind a getter, and its members are looked up by name each time, which costs more than the clock does. */
const { hrtime } = process

/** Milliseconds since some moment. */
export const now = (): number => {
  const time = hrtime()
  return time[0] * 1e3 + time[1] / 1e6
}
