/** Time that only goes forward. The global `performance` would say the same, but a thread that touches it loads modules for 2 ms at its start. */

/** Milliseconds since some moment. */
export const now = (): number => {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
