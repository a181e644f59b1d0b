/**
 * What a process writes to its standard streams, read no faster than costs little: of a flood the log takes next to nothing, and to read it
 * is work of this thread.
 */
import type { Readable } from 'node:stream'
import { TokenBucket } from '../token-bucket.js'

/** Characters a second: far more than the log takes, and few enough that one that writes much at once hardly waits for it. */
const RATE = 64 * 1_024 * 1_024
/** Seconds for which one that wrote nothing is read as fast as it writes. */
const RESERVE = 0.5
/** Milliseconds that one is not read which has used that up. */
const REST = 25

/** `take`: called with each piece of text. */
export const readPaced = (stream: Readable, take: (text: string) => void): void => {
  const bucket = new TokenBucket(RATE, RESERVE)
  const resume = (): void => void stream.resume()
  stream.setEncoding('utf8').on('data', (text: string) => {
    if (!bucket.take(text.length)) {
      stream.pause()
      setTimeout(resume, REST)
    }
    take(text)
  })
}
