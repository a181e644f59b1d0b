/** One file under watch: decides from its inode, times and content when there is a new version worth reporting. */
import { createHash } from 'node:crypto'
import { type BigIntStats, stat } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { limiter } from '../../limiter.js'
import { TO_READ } from '../../text-file.js'
import { isMissing } from '../text/missing-path.js'

/** What `stat` says that changes whenever the file may have: looking at it is cheap, reading the file is not. */
interface Look {
  signature: string
  inode: bigint
  /** Undefined: there is no such file. */
  size: bigint | undefined
}

const ABSENT: Look = { signature: 'absent', inode: -1n, size: undefined }

const lookOf = (stats: BigIntStats | undefined): Look => {
  if (!stats?.isFile()) return ABSENT
  return { signature: `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`, inode: stats.ino, size: stats.size }
}

/** By the callback: at 400 files every two seconds, the promise's way would cost twice as much. */
const lookAt = (path: string): Promise<Look> =>
  new Promise((resolve) => stat(path, { bigint: true }, (error, stats) => resolve(lookOf(error ? undefined : stats))))

/** Files that are read at a time, whoever's they are: all at once would take as much memory, and descriptors, as somebody likes. */
const AT_A_TIME = 16
/** Bytes of a file that are read at once: others have their turn in between. */
const PART = 65_536

const inTurn = limiter(AT_A_TIME)

const contentOf = async (file: FileHandle, size: number): Promise<string> => {
  const hash = createHash('sha1')
  const part = Buffer.allocUnsafe(Math.min(size, PART))
  for (let length = 0; length < size; ) {
    const { bytesRead } = await file.read(part, 0, Math.min(part.length, size - length), length)
    if (bytesRead === 0) break
    hash.update(part.subarray(0, bytesRead))
    length += bytesRead
  }
  return hash.digest('base64')
}

const hashOf = async (file: FileHandle, { signature, size }: Look, mayRead: MayRead): Promise<string> => {
  if (size === undefined) return 'absent'
  // Much of /proc says that it is empty, and has no end.
  if (size === 0n) return 'empty'
  if (!mayRead(Number(size))) return signature
  return contentOf(file, Number(size)).catch(() => 'absent')
}

/** What a file holds, and what it looked like then. */
interface Reading {
  look: Look
  hash: string
  /** Nobody wrote to it meanwhile. */
  still: boolean
}

/** Whether there is room to read so many bytes of a file; where there is none, a touch counts as a new version. */
type MayRead = (bytes: number) => boolean

/** Looks at the file that it reads: by the path, another may lie there for the one or for the other. */
const readAt = async (path: string, mayRead: MayRead): Promise<Reading> => {
  let file: FileHandle
  try {
    file = await open(path, TO_READ)
  } catch (error) {
    return { look: isMissing(error) ? ABSENT : await lookAt(path), hash: 'absent', still: true }
  }
  try {
    const look = lookOf(await file.stat({ bigint: true }))
    const hash = await hashOf(file, look, mayRead)
    return { look, hash, still: lookOf(await file.stat({ bigint: true })).signature === look.signature }
  } finally {
    await file.close()
  }
}

/** A second write inside the watch backend's throttle makes no event, so the file is looked at again this much later, in ms. */
const LOOK_AGAIN = [60, 250]

/**
 * An empty or missing file is mostly a save under way; so many settling times, and so many ms at least, pass before it is
 * taken for meant. Missing takes longer than WatchedPlace takes to see that the whole plugin is gone.
 */
const EMPTY = { settles: 10, least: 100 }
const MISSING = { settles: 20, least: 400 }

/**
 * So often the same content is tried once more because it was not there all the while: a plugin that writes its own files as it loads would
 * be tried without end.
 */
const MOST_RESTORED = 5
/** Milliseconds after which such tries are not in a row. */
const CALM = 10_000

export interface WatchedFileOptions {
  /** How long a file written in place must stay the same, in ms. */
  settle: number
  /** A new version is there: the content differs from the one reported last. */
  onVersion: (file: WatchedFile) => void
  /** Compare with a file that is not there: what is there now is news. */
  fromNothing?: boolean
  /** Whether so many bytes of it are read; where they are not, a touch is a new version. */
  mayRead?: (file: WatchedFile, bytes: number) => boolean
  /** The file stopped being busy, with or without a new version. */
  onIdle: (file: WatchedFile) => void
}

export class WatchedFile {
  readonly path: string
  readonly #options: WatchedFileOptions
  #known: Look = ABSENT
  /** Of the version that was reported last; undefined: nobody knows what the others have of it. */
  #hash: string | undefined = 'absent'
  /** What it was before nobody knew. */
  #before: string | undefined
  /** Of a version that was reported once more as nobody knew whether the others have it. */
  #repeated: string | undefined
  /** When it last came to hold again what was reported, since others read it. */
  #restored: number | undefined
  /** When that was reason last to try what was reported once more, and how often it was of this version. */
  #excused: number | undefined
  #retried = 0
  #retriedAt = 0
  readonly #baseline: Promise<void>
  #inspecting: Promise<void> | undefined
  #again = false
  /** A look that has to be confirmed before it counts, and whether its time has come. */
  #pending: { signature: string; due: boolean; timer: NodeJS.Timeout } | undefined
  #later: NodeJS.Timeout[] = []
  /** Whether the directory entry was written to since it was last put there: then the file may be half written. */
  #written = false
  #closed = false

  constructor(path: string, options: WatchedFileOptions) {
    this.path = path
    this.#options = options
    this.#baseline = options.fromNothing ? Promise.resolve() : this.#takeBaseline()
  }

  /** Settles once the version that later ones are compared with is known. */
  get ready(): Promise<void> {
    return this.#baseline
  }

  get busy(): boolean {
    return this.#inspecting !== undefined || this.#pending !== undefined
  }

  #read(): Promise<Reading> {
    return inTurn(() => readAt(this.path, (bytes) => this.#options.mayRead?.(this, bytes) !== false))
  }

  async #takeBaseline(): Promise<void> {
    for (;;) {
      const { look, hash, still } = await this.#read()
      if (!still && !this.#closed) continue
      this.#known = look
      this.#hash = hash
      return
    }
  }

  /**
   * Others read it between `since`, of `performance.now()`, and now. Where it was another meanwhile than what was reported, nobody knows
   * which of them they have: what it holds next is a new version, though it be the one that was reported.
   */
  async taken(since: number): Promise<void> {
    await this.#baseline
    const { signature } = await lookAt(this.path)
    const certain = signature === this.#known.signature && (this.#restored === undefined || this.#restored < since)
    this.#restored = undefined
    if (certain || this.#closed) return
    this.#before = this.#hash ?? this.#before
    this.#hash = undefined
    this.#known = { ...this.#known, signature: 'uncertain' }
    this.look()
  }

  /**
   * Their code has been loaded: the same, but for a version that was reported once more already. A plugin that writes the file itself as it
   * loads would be replaced without end.
   */
  async loaded(): Promise<void> {
    await this.#baseline
    const repeated = this.#repeated
    if (repeated === undefined || repeated !== this.#hash || (await this.#read()).hash !== repeated) await this.taken(0)
  }

  /**
   * The folder reported something about this file: `put` that an entry came, went or was replaced, `write` that its content or attributes
   * changed.
   */
  touched(how: 'put' | 'write' | 'unknown'): void {
    if (how !== 'unknown') this.#written = how === 'write'
    this.look()
    for (const timer of this.#later) clearTimeout(timer)
    this.#later = LOOK_AGAIN.map((delay) => setTimeout(() => this.look(), delay).unref())
  }

  /** A folder above it came or went: it may not have been there all the while. */
  moved(): void {
    this.#restored = performance.now()
    this.touched('put')
  }

  /** Looks at the file now. */
  look(): void {
    if (this.#closed) return
    this.#again = true
    this.#inspecting ??= this.#inspectAll()
  }

  /** For the safety net: a full look only if `stat` says something new, which is what it resolves with. */
  async glance(): Promise<boolean> {
    await this.#baseline
    if (this.busy || this.#closed) return false
    const { signature } = await lookAt(this.path)
    const news = signature !== this.#known.signature
    if (news) this.look()
    return news
  }

  /** Looks at it: whether it may be another than what was reported before, or may have been since then, of `performance.now()`. */
  async stirs(since = Number.POSITIVE_INFINITY): Promise<boolean> {
    await this.#baseline
    const reported = this.#hash
    this.look()
    while (this.#inspecting) await this.#inspecting
    if (this.#pending !== undefined || this.#hash !== reported) return true
    if (this.#restored === undefined || this.#restored < since) return false
    if (this.#restored === this.#excused) return true
    if (!this.#mayRetry()) return false
    this.#excused = this.#restored
    return true
  }

  /** Whether what was reported is tried once more: not without end in a row. */
  #mayRetry(): boolean {
    const now = performance.now()
    if (now - this.#retriedAt > CALM) this.#retried = 0
    this.#retriedAt = now
    return this.#retried++ < MOST_RESTORED
  }

  async #inspectAll(): Promise<void> {
    await this.#baseline
    while (this.#again && !this.#closed) {
      this.#again = false
      await this.#inspect()
    }
    this.#inspecting = undefined
    if (!this.busy && !this.#closed) this.#options.onIdle(this)
  }

  async #inspect(): Promise<void> {
    if ((await lookAt(this.path)).signature === this.#known.signature) return this.#settled()
    const { look, hash, still } = await this.#read()
    if (this.#closed) return
    if (still && hash === this.#hash) {
      this.#known = look // touched, or written anew with what it held before
      this.#restored = performance.now()
      return this.#settled()
    }
    const wait = still ? this.#patience(look) : this.#options.settle
    if (wait > 0 && !(this.#pending?.due && this.#pending.signature === look.signature)) return this.#confirmLater(look.signature, wait)
    this.#known = look
    this.#repeated = this.#hash === undefined && hash === this.#before ? hash : undefined
    this.#hash = hash
    this.#settled()
    if (this.#repeated === undefined) this.#retried = 0
    else if (!this.#mayRetry()) return
    this.#options.onVersion(this)
  }

  /** How long a new look must hold, in ms. Another inode that was not written to since it came was put there whole: at once. */
  #patience(look: Look): number {
    const { settle } = this.#options
    if (look.size === undefined) return Math.max(MISSING.settles * settle, MISSING.least)
    if (look.size === 0n) return Math.max(EMPTY.settles * settle, EMPTY.least)
    return look.inode !== this.#known.inode && !this.#written ? 0 : settle
  }

  #confirmLater(signature: string, wait: number): void {
    if (this.#pending?.signature === signature && !this.#pending.due) return
    clearTimeout(this.#pending?.timer)
    const timer = setTimeout(() => {
      if (this.#pending) this.#pending.due = true
      this.look()
    }, wait)
    this.#pending = { signature, due: false, timer }
  }

  #settled(): void {
    clearTimeout(this.#pending?.timer)
    this.#pending = undefined
  }

  close(): void {
    this.#closed = true
    this.#settled()
    for (const timer of this.#later) clearTimeout(timer)
  }
}
