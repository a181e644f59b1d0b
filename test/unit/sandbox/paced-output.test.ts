/** How fast the output of a process is read. */
import { Readable } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import { readPaced } from '#src/sandbox/host/paced-output.js'
import { TokenBucket } from '#src/sandbox/token-bucket.js'
import { eventually } from '../../support/eventually.js'

afterEach(() => void vi.restoreAllMocks())

/** So many pieces, of which each comes in a turn of its own, as of a process; what is done with them, in order. */
const read = (pieces: number) => {
  let left = pieces
  const stream = new Readable({ read: () => void setImmediate(() => stream.push(left-- > 0 ? 'x' : null)) })
  const seen: string[] = []
  stream.on('pause', () => seen.push('rest'))
  readPaced(stream, (text) => seen.push(text))
  return { stream, seen }
}

test('who has written more than is read of it waits a while, is read on, and loses nothing', async () => {
  const rates: number[] = []
  let asked = 0
  vi.spyOn(TokenBucket.prototype, 'take').mockImplementation(function (this: TokenBucket) {
    rates.push(this.rate)
    return ++asked % 2 === 1
  })
  const { stream, seen } = read(4)
  await eventually(() => expect(stream.readableEnded).toBe(true))
  expect(seen).toEqual(['x', 'rest', 'x', 'x', 'rest', 'x'])
  expect(rates).toEqual(Array(4).fill(64 * 1_024 * 1_024))
})

test('who writes little never waits', async () => {
  const { stream, seen } = read(100)
  await eventually(() => expect(stream.readableEnded).toBe(true))
  expect(seen).toEqual(Array(100).fill('x'))
})
