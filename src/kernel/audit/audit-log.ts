/**
 * Writes an audit log: takes entries at once, writes them in batches and in order, turns over full files, and carries on after a crash
 * where the last line ends.
 */
import { type FileHandle, mkdir, open, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay, setImmediate as soon } from 'node:timers/promises'
import { reasonOf } from '../../wire-error.js'
import type { Logger } from '../options/options.js'
import {
  type AuditEntry,
  fileName,
  firstOf,
  GENESIS,
  HEAD,
  headText,
  type Link,
  logFiles,
  readHead,
  readLine,
  readLines,
  seal,
} from './chain.js'
import { lockFolder } from './lock.js'

export interface AuditLogOptions {
  /** The folder of the log: an absolute path. */
  dir: string
  /** A file that has reached this many bytes is followed by another. */
  maxBytes: number
  /** Files that are kept, the one that is written to among them. */
  keep: number
  log: Logger
}

/** Entries that wait for the disk: a disk that takes none must not fill the memory. */
const MAX_PENDING = 10_000
/** Lines made in one go: a flood must not hold the kernel's thread. */
const MAX_BATCH = 256
/**
 * The same at the end of the log, when nobody waits but for the disk: a full memory in four goes, since each costs the disk as much as a
 * large one.
 */
const LAST_BATCH = 2_500
/** Milliseconds until a disk that refused is tried again. */
const RETRY = 1_000
/**
 * Milliseconds that the end of the log waits for each batch, and to let go: a disk that never answers must not keep a kernel from stopping,
 * one that is slow must not lose what it would take.
 */
const LAST_WRITE = 2_000

/** Resolves with whether it was done while the end of the log waited. */
const withinLimit = async (done: Promise<void>): Promise<boolean> => {
  const limit = new AbortController()
  const late = delay(LAST_WRITE, false, { signal: limit.signal }).catch(() => false)
  const inTime = await Promise.race([done.then(() => true), late])
  limit.abort()
  return inTime
}

/** The file that is written to. */
interface Tail {
  file: FileHandle
  /** Bytes and last line that are known to be on the disk. */
  size: number
  link: Link
  /** The files there are, the oldest first, and those that an entry under way says are dropped. */
  files: string[]
  dropping: string[]
  unlock(): Promise<void>
}

export class AuditLog {
  readonly #options: AuditLogOptions
  #pending: (AuditEntry & { time: string })[] = []
  #tail: Tail | undefined
  /** The last line that is known to have been written, whatever the disk says later. */
  #last: Link = GENESIS
  #writing: Promise<void> | undefined
  #refused = false
  #retry: NodeJS.Timeout | undefined
  #lost = 0
  #closed = false

  constructor(options: AuditLogOptions) {
    this.#options = options
  }

  /** Takes an entry, with the time it is now. Never throws and never waits. After the end, nothing is taken. */
  append(entry: AuditEntry): void {
    if (this.#closed) return
    if (this.#pending.length >= MAX_PENDING) this.#lost++
    else this.#pending.push(this.#timed(entry))
    if (this.#retry === undefined) void this.#write()
  }

  /** Writes what waits, ends the log and lets go of its folder. Never throws: what cannot be written is told to the logger. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#retry = undefined
    const rest = this.#writeRest()
    let answers = false
    for (let left = Infinity; !answers && this.#pending.length < left; ) {
      left = this.#pending.length
      answers = await withinLimit(rest)
    }
    clearTimeout(this.#retry)
    const left = this.#pending.length + this.#lost
    if (left > 0) this.#options.log.error({}, `${left} entries of the audit log in ${this.#options.dir} were not written.`)
    const gone = this.#letGo()
    // A disk that does not answer lets go of nothing either.
    if (answers) await withinLimit(gone)
  }

  async #writeRest(): Promise<void> {
    do await this.#write()
    while (this.#pending.length > 0 && this.#retry === undefined)
  }

  #timed(entry: AuditEntry): AuditEntry & { time: string } {
    return { ...entry, time: new Date().toISOString() }
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
      if (this.#pending.length > 0 && this.#retry === undefined) void this.#write()
    })
    return this.#writing
  }

  async #writeAll(): Promise<void> {
    // What happens in one turn goes in one batch.
    await soon()
    const { log, dir } = this.#options
    try {
      while (this.#pending.length > 0 || this.#refused) {
        this.#tail ??= await this.#open()
        if (this.#pending.length > 0) await this.#writeBatch(this.#tail)
        if (this.#lost > 0) this.#pending.push(this.#timed({ kind: 'audit.lost', actor: 'kernel', details: { entries: this.#lost } }))
        this.#lost = 0
        if (!this.#refused || this.#pending.length > 0) continue
        this.#refused = false
        log.warn({}, `The audit log in ${dir} is written again.`)
      }
    } catch (error) {
      await this.#letGo()
      this.#retry = setTimeout(() => {
        this.#retry = undefined
        void this.#write()
      }, RETRY)
      this.#retry.unref()
      if (this.#refused) return
      this.#refused = true
      log.error(
        { err: error },
        `The audit log in ${dir} cannot be written: ${reasonOf(error)}. The kernel goes on; up to ${MAX_PENDING} entries wait in memory until it can.`,
      )
    }
  }

  /** Writes as many entries as the file has room for; a full file is turned over instead. */
  async #writeBatch(tail: Tail): Promise<void> {
    let text = ''
    let size = tail.size
    let { link } = tail
    let count = 0
    const most = this.#closed ? LAST_BATCH : MAX_BATCH
    for (const entry of this.#pending) {
      const sealed = seal(entry, link)
      const bytes = Buffer.byteLength(sealed.line)
      if (count === most || (size > 0 && size + bytes > this.#options.maxBytes)) break
      text += sealed.line
      size += bytes
      link = sealed.link
      count++
    }
    if (count === 0) return this.#turnOver(tail)
    try {
      await tail.file.appendFile(text)
      await tail.file.datasync()
    } catch (error) {
      // Half of a batch is none: it is written whole when the disk takes it.
      await tail.file.truncate(tail.size).catch(() => {})
      throw error
    }
    this.#pending.splice(0, count)
    tail.size = size
    this.#last = tail.link = link
    await this.#writeHead(link)
    for (const name of tail.dropping.splice(0)) await rm(join(this.#options.dir, name), { force: true })
  }

  async #writeHead(link: Link): Promise<void> {
    const head = join(this.#options.dir, HEAD)
    await writeFile(`${head}.new`, headText(link), { mode: 0o600 })
    await rename(`${head}.new`, head)
  }

  async #turnOver(tail: Tail): Promise<void> {
    const name = fileName(tail.link.seq + 1)
    const file = await open(join(this.#options.dir, name), 'a', 0o600)
    await tail.file.close()
    tail.file = file
    tail.size = 0
    tail.files.push(name)
    await this.#dropOld(tail)
  }

  /** Old files go when an entry that says so is on the disk: without it, their lines would count as missing. */
  async #dropOld(tail: Tail): Promise<void> {
    const { keep, dir } = this.#options
    if (tail.files.length <= keep) return
    tail.dropping.push(...tail.files.splice(0, tail.files.length - keep))
    const [oldest = ''] = tail.files
    const [line = ''] = (await readLines(join(dir, oldest))).lines
    const through: Link = { seq: firstOf(oldest) - 1, hash: readLine(line)?.previous ?? tail.link.hash }
    this.#pending.unshift(this.#timed({ kind: 'audit.dropped', actor: 'kernel', reason: `${keep} files are kept`, details: { through } }))
  }

  // ── carrying on ──────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Finds where the chain ends. Nothing that is there is mended: what is damaged stays for `verify` to find, and the chain goes on in a
   * file after it.
   */
  async #open(): Promise<Tail> {
    const { dir } = this.#options
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const unlock = await lockFolder(dir)
    try {
      const notes: AuditEntry[] = []
      const files = await this.#withoutEmpty(await logFiles(dir))
      const newest = files.at(-1)
      const { link, damage } = await this.#endOf(newest, notes)
      const name = newest === undefined || damage !== undefined ? fileName(link.seq + 1) : newest
      if (name !== newest) files.push(name)
      if (damage !== undefined) notes.push({ kind: 'audit.damaged', actor: 'kernel', reason: damage })
      const file = await open(join(dir, name), 'a', 0o600)
      const tail: Tail = { file, size: (await file.stat()).size, link, files, dropping: [], unlock }
      this.#pending.unshift(...notes.map((note) => this.#timed(note)))
      await this.#dropOld(tail)
      return tail
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /** A file that was made and not yet written to when its process ended says nothing. */
  async #withoutEmpty(files: string[]): Promise<string[]> {
    const { dir } = this.#options
    const newest = files.at(-1)
    if (newest === undefined) return files
    const { lines, torn } = await readLines(join(dir, newest))
    if (lines.length > 0 || torn !== '') return files
    await rm(join(dir, newest), { force: true })
    return this.#withoutEmpty(files.slice(0, -1))
  }

  async #endOf(newest: string | undefined, notes: AuditEntry[]): Promise<{ link: Link; damage: string | undefined }> {
    const { dir } = this.#options
    const head = await readHead(dir)
    const told = head && head.seq > this.#last.seq ? head : this.#last
    if (newest === undefined) {
      // There from before the first line on: a log without a head is a damaged one.
      if (head === undefined && told.seq === 0) await this.#writeHead(GENESIS)
      return { link: told, damage: told.seq > 0 ? `lines up to ${told.seq} are missing` : undefined }
    }
    const { lines, torn } = await readLines(join(dir, newest))
    if (torn !== '') notes.push(await this.#setAside(newest, torn))
    const last = readLine(lines.at(-1) ?? '')
    const found = last?.sound ? last : lines.map(readLine).findLast((line) => line?.sound)
    const link: Link = found && found.seq >= told.seq ? { seq: found.seq, hash: found.hash } : told
    const damage = ((): string | undefined => {
      if (lines.length > 0 && !last?.sound) return `the last line of ${newest} was changed`
      const end = last?.seq ?? firstOf(newest) - 1
      if (end < told.seq) return `lines ${end + 1} to ${told.seq} are missing`
      if (last?.seq === told.seq && last.hash !== told.hash) return `line ${last.seq} is not the one in ${HEAD}`
      if (head === undefined) return `${HEAD} is missing`
      return head === null ? `${HEAD} was changed` : undefined
    })()
    return { link, damage }
  }

  /** A line that was not written to its end is no entry: it is kept beside the log, and the chain goes on without it. */
  async #setAside(name: string, torn: string): Promise<AuditEntry> {
    const { dir } = this.#options
    const aside = `${name}.torn-${Date.now()}`
    await writeFile(join(dir, aside), torn, { encoding: 'latin1', mode: 0o600 })
    const { lines } = await readLines(join(dir, name))
    await truncate(
      join(dir, name),
      lines.reduce((sum, line) => sum + line.length + 1, 0),
    )
    return {
      kind: 'audit.torn',
      actor: 'kernel',
      reason: 'the last line was not written to its end',
      details: { bytes: torn.length, kept: aside },
    }
  }

  async #letGo(): Promise<void> {
    const tail = this.#tail
    this.#tail = undefined
    await tail?.file.close().catch(() => {})
    await tail?.unlock().catch(() => {})
  }
}
