/** Requests over HTTP whose answers are read a share of a turn at a time, however small the pieces are in which they come. */
import { TokenBucket } from '../../sandbox/token-bucket.js'
import { TurnShare } from '../limits/turn-share.js'

/** Smaller pieces are gathered: to Node's streams each would be an object of its own. */
const GATHERED = 64 * 1_024
/**
 * So much is read of one answer before others have their turn. Undici, which is Node's `fetch`, puts back what it has not read when it pauses, and asks for as
 * much more as one read of a socket gives: who has it pause earlier again and again has it keep all that comes.
 */
const STRETCH = 64 * 1_024
/** After so many pieces an answer takes its turn for the first time: many may begin at once. */
const FIRST = 64
/** What one piece takes on the wire beside what is in it, at least. */
const FRAME = 6
/** Pieces that are small cost as much as large ones: only so many are read a second, and as many at once. */
export const SMALL_PIECE = 32
export const SMALL_PIECES = 4_096

/** What undici is told of an answer by: before its version 8 the one, from then on the other. */
interface Before8 {
  onHeaders(status: number, headers: unknown, resume: () => void, text: string): unknown
  onData(chunk: Uint8Array): unknown
  onComplete(trailers: unknown): void
}

interface Since8 {
  onResponseStart(controller: Controller, status: number, headers: unknown, text: string): void
  onResponseData(controller: Controller, chunk: Uint8Array): void
  onResponseEnd(controller: Controller, trailers: unknown): void
}

interface Controller {
  rawHeaders?: unknown
  pause(): void
  resume(): void
  abort(reason: unknown): void
}

interface Dispatcher {
  dispatch(options: unknown, handler: Before8 | Since8): boolean
}

/** What the answers to one plugin have together. */
class Reading {
  readonly #turns = new TurnShare()
  readonly #small = new TokenBucket(SMALL_PIECES, 1)
  /** What an answer of too many small ones ends with. */
  readonly refusal: () => Error

  constructor(refusal: () => Error) {
    this.refusal = refusal
  }

  /** False: too many small ones have come. */
  mayBe(piece: number): boolean {
    return piece >= SMALL_PIECE || this.#small.take(1)
  }

  /** Does it in a later turn, when others have had theirs. */
  later(work: () => void): void {
    setImmediate(() => void this.#turns.take(work))
  }
}

/** One body on its way from the connection to `fetch`. */
class PacedBody {
  readonly #reading: Reading
  readonly #give: (bytes: Uint8Array) => boolean
  readonly #resume: () => void
  #gathered: Uint8Array | undefined
  #size = 0
  /** What was read since its turn began. */
  #read = 0
  /** Pieces that are left of the turn in which it began. */
  #first = FIRST
  /** It has had its turn. */
  #waits = false
  /** Whether `fetch` takes more. */
  #wanted = true
  #over = false

  /** `give`: hands bytes to `fetch`; false: it takes no more for now. `resume`: has the connection go on. */
  constructor(reading: Reading, give: (bytes: Uint8Array) => boolean, resume: () => void) {
    this.#reading = reading
    this.#give = give
    this.#resume = resume
  }

  /** False: the connection is to pause. */
  take(chunk: Uint8Array): boolean {
    const fits = this.#reading.mayBe(chunk.byteLength)
    // Nobody hears of what fails in the turn in which an answer begins: `fetch` listens from the next on.
    if (!fits && this.#first === 0) throw this.#reading.refusal()
    this.#add(chunk)
    this.#read += chunk.byteLength + FRAME
    const begun = this.#first > 0 && (--this.#first === 0 || !fits)
    if ((begun || this.#read >= STRETCH) && !this.#waits) {
      this.#first = 0
      this.#waits = true
      this.#reading.later(() => {
        this.#read = 0
        this.#waits = false
        this.#goOn()
      })
    }
    return this.#wanted && !this.#waits
  }

  /** `fetch` takes more. */
  want(): void {
    this.#wanted = true
    this.#goOn()
  }

  /** It was all. */
  end(): void {
    this.#flush()
    this.#over = true
  }

  #goOn(): void {
    if (this.#wanted && !this.#waits && !this.#over) this.#resume()
  }

  #add(chunk: Uint8Array): void {
    const large = chunk.byteLength > GATHERED / 4
    if (large || this.#size + chunk.byteLength > GATHERED) this.#flush()
    if (large) return this.#hand(chunk)
    this.#gathered ??= new Uint8Array(GATHERED)
    this.#gathered.set(chunk, this.#size)
    this.#size += chunk.byteLength
  }

  #flush(): void {
    if (this.#gathered === undefined || this.#size === 0) return
    const whole = this.#gathered.subarray(0, this.#size)
    this.#gathered = undefined
    this.#size = 0
    this.#hand(whole)
  }

  #hand(bytes: Uint8Array): void {
    this.#wanted = this.#give(bytes)
  }
}

const pacedBefore8 = (handler: Before8, reading: Reading): Before8 => {
  let body: PacedBody | undefined
  const own: Before8 = {
    onHeaders: (status, headers, resume, text) => {
      // What is said before the answer has no body.
      if (status >= 200) body = new PacedBody(reading, (bytes) => handler.onData(bytes) !== false, resume)
      return handler.onHeaders(status, headers, () => body?.want(), text)
    },
    onData: (chunk) => body?.take(chunk),
    onComplete: (trailers) => {
      body?.end()
      return handler.onComplete(trailers)
    },
  }
  return Object.assign(bound(handler), own)
}

const pacedSince8 = (handler: Since8, reading: Reading): Since8 => {
  let body: PacedBody | undefined
  const own: Since8 = {
    onResponseStart: (controller, status, headers, text) => {
      if (status < 200) return handler.onResponseStart(controller, status, headers, text)
      let wanted = true
      const give = (bytes: Uint8Array): boolean => {
        wanted = true
        handler.onResponseData(controlled, bytes)
        return wanted
      }
      const controlled: Controller = {
        rawHeaders: controller.rawHeaders,
        pause: () => (wanted = false),
        resume: () => body?.want(),
        abort: (reason) => controller.abort(reason),
      }
      body = new PacedBody(reading, give, () => controller.resume())
      handler.onResponseStart(controlled, status, headers, text)
    },
    onResponseData: (controller, chunk) => {
      if (body?.take(chunk) === false) controller.pause()
    },
    onResponseEnd: (controller, trailers) => {
      body?.end()
      handler.onResponseEnd(controller, trailers)
    },
  }
  return Object.assign(bound(handler), own)
}

/** What else it has, as it is: its functions find in `this` what they have noted there. */
const bound = <T extends object>(handler: T): T =>
  Object.fromEntries(
    Object.entries(handler).map(([key, value]: [string, unknown]) => [
      key,
      typeof value === 'function' ? (value.bind(handler) as unknown) : value,
    ]),
  ) as T

/** Where `fetch` finds whom it sends requests by, be it Node's or the application's: the name says what kind of handler that takes. */
const dispatcherFor = (handler: Before8 | Since8): Dispatcher => {
  const places = globalThis as unknown as Record<symbol, Dispatcher | undefined>
  const [first, last] = (isSince8(handler) ? [2, 1] : [1, 2]).map((number) => places[Symbol.for(`undici.globalDispatcher.${number}`)])
  const found = first ?? last
  if (found === undefined) throw new TypeError('fetch has nothing to send requests by')
  return found
}

const isSince8 = (handler: Before8 | Since8): handler is Since8 => 'onResponseData' in handler

/**
 * As the global `fetch`: all answers to one of these together take their share of a turn. `refusal`: what a request fails with, as its cause, whose answer comes
 * in too many small pieces.
 */
export const pacedFetch = (refusal: () => Error): typeof fetch => {
  const reading = new Reading(refusal)
  const dispatcher: Dispatcher = {
    dispatch: (options, handler) =>
      dispatcherFor(handler).dispatch(options, isSince8(handler) ? pacedSince8(handler, reading) : pacedBefore8(handler, reading)),
  }
  return (target, init) => fetch(target, { ...init, dispatcher } as RequestInit)
}
