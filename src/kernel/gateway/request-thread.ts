/**
 * The thread that makes the requests of a plugin. What it may ask for, and how much of an answer may be held, is decided in the kernel's.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { SMALL } from '../../sandbox/conversation/held-answer.js'
import { startHeart } from '../../sandbox/guest/heartbeat.js'
import { beat, type Pulse } from '../../sandbox/pulse.js'
import { toWire } from '../../wire-error.js'
import type { Exchange, Exchanged, FromThread, ToThread } from './requester.js'

const REDIRECTS = new Set([301, 302, 303, 307, 308])

const port = parentPort as MessagePort
const underWay = new Map<number, UnderWay>()

/** One request. */
class UnderWay {
  readonly #number: number
  readonly #abort = new AbortController()
  /** While it waits for room. */
  #enter: (() => void) | undefined

  constructor(number: number) {
    this.#number = number
  }

  cancel(): void {
    this.#abort.abort()
    this.enter()
  }

  /** There is room for what it asked for. */
  enter(): void {
    this.#enter?.()
  }

  async make({ url, method, headers, body, follows }: Exchange): Promise<Exchanged> {
    const response = await fetch(url, { method, headers, body, redirect: 'manual', signal: this.#abort.signal })
    const { status, statusText } = response
    const location = follows && REDIRECTS.has(status) ? response.headers.get('location') : null
    if (location !== null) {
      await response.body?.cancel()
      return { status, location, body }
    }
    return { status, statusText, headers: [...response.headers], body: response.body === null ? null : await this.#whole(response.body) }
  }

  /** In memory that nothing else is in. Of many small pieces none is kept as such. */
  async #whole(body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
    let bytes = new Uint8Array(SMALL)
    let size = 0
    let held = 0
    for await (const piece of body) {
      beat()
      if (size + piece.byteLength > bytes.byteLength) {
        const larger = new Uint8Array(Math.max(2 * size, size + piece.byteLength))
        larger.set(bytes.subarray(0, size))
        bytes = larger
      }
      bytes.set(piece, size)
      size += piece.byteLength
      if (size - held >= 2 * SMALL) await this.#hold((held = size))
    }
    if (size > Math.max(held, SMALL)) await this.#hold(size)
    return bytes.slice(0, size)
  }

  async #hold(bytes: number): Promise<void> {
    const room = new Promise<void>((enter) => {
      this.#enter = enter
    })
    say(['grow', this.#number, bytes])
    await room
    this.#abort.signal.throwIfAborted()
  }
}

const say = (word: FromThread, moved: (Uint8Array<ArrayBuffer> | null)[] = []): void =>
  port.postMessage(
    word,
    moved.flatMap((bytes) => bytes?.buffer ?? []),
  )

const serve = async (number: number, exchange: Exchange): Promise<void> => {
  const request = new UnderWay(number)
  underWay.set(number, request)
  try {
    const exchanged = await request.make(exchange)
    say(['done', number, exchanged], [exchanged.body])
  } catch (error) {
    say(['failed', number, toWire(error)])
  } finally {
    underWay.delete(number)
  }
}

startHeart(workerData as Pulse)

port.on('message', (said: ToThread) => {
  beat()
  if (said[0] === 'send') void serve(said[1], said[2])
  else underWay.get(said[1])?.[said[0]]()
})
