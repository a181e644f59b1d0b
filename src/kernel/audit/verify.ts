/** Reads an audit log and finds what was changed, taken out, moved or torn. */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { codeOf, reasonOf } from '../../wire-error.js'
import { entryOf, firstOf, GENESIS, HEAD, type Link, logFiles, readHead, readLine, readLines, type SealedLine } from './chain.js'
import { isLocked } from './lock.js'

/** Looks at a folder that a kernel writes to, and milliseconds between two: what it is just doing there is over by the next. */
const MAX_LOOKS = 50
const NEXT_LOOK = 20

/** One thing that is not as it was written. */
export interface AuditFault {
  /** The file, within the folder, and the line in it, from 1; no line for what is about the file. */
  file: string
  line: number | undefined
  message: string
}

export interface AuditReport {
  files: number
  lines: number
  /** The last line there is. */
  last: Link | undefined
  /** Number of the last line that was dropped with an old file; 0 when all are there. */
  dropped: number
  faults: AuditFault[]
}

const range = (from: number, to: number): string => (from === to ? `line ${from} of the log is` : `lines ${from} to ${to} of the log are`)

class Verification {
  readonly report: AuditReport = { files: 0, lines: 0, last: undefined, dropped: 0, faults: [] }
  /** Some of it may be what a kernel is doing there at this moment: a file dropped, a line half written. */
  passing = false
  /** Links that entries say old files were dropped through. */
  readonly #dropped = new Map<number, string>()
  readonly #wanted: Link[]
  #before: Link | undefined
  #first: { file: string; line: SealedLine } | undefined

  constructor(wanted: readonly Link[]) {
    this.#wanted = [...wanted]
  }

  fault(file: string, line: number | undefined, message: string): void {
    this.report.faults.push({ file, line, message })
  }

  async file(dir: string, name: string, newest: boolean): Promise<void> {
    this.report.files++
    const read = await readLines(join(dir, name)).catch((error: unknown) => {
      this.passing ||= codeOf(error) === 'ENOENT'
      this.fault(name, undefined, `it cannot be read: ${reasonOf(error)}.`)
    })
    if (!read) return
    const { lines, torn } = read
    this.passing ||= newest && (torn !== '' || lines.length === 0)
    for (const [at, text] of lines.entries()) {
      const line = readLine(text)
      this.report.lines++
      if (line === undefined) {
        this.fault(name, at + 1, 'this is no line of an audit log: it was changed.')
        // What it was cannot be known: the line after it tells where the chain goes on.
        if (this.#before) this.#before = { seq: this.#before.seq + 1, hash: '' }
      } else this.#line(name, at, line)
    }
    if (torn !== '') this.fault(name, lines.length + 1, 'this line was not written to its end, or its end was taken away.')
    else if (lines.length === 0) this.fault(name, undefined, 'the file is empty.')
  }

  #line(name: string, at: number, line: SealedLine): void {
    if (!line.sound) this.fault(name, at + 1, `line ${line.seq} of the log was changed: its hash does not fit.`)
    if (at === 0 && line.seq !== firstOf(name))
      this.fault(name, 1, `the file begins with line ${line.seq} of the log, its name says ${firstOf(name)}.`)
    this.#first ??= { file: name, line }
    const before = this.#before
    if (before && line.seq > before.seq + 1) this.fault(name, at + 1, `${range(before.seq + 1, line.seq - 1)} missing before this one.`)
    else if (before && line.seq <= before.seq)
      this.fault(name, at + 1, `line ${line.seq} of the log stands after line ${before.seq}: it was moved or doubled.`)
    else if (before && before.hash !== '' && line.previous !== before.hash)
      this.fault(
        name,
        at + 1,
        `line ${line.seq} of the log does not follow the line before it: one of the two was put in the place of another.`,
      )
    this.#before = this.report.last = { seq: line.seq, hash: line.hash }
    for (const { seq, hash } of this.#wanted) {
      if (seq === line.seq && hash !== line.hash)
        this.fault(name, at + 1, `line ${seq} of the log is not the one that was noted: ${hash} was its hash.`)
    }
    if (line.sound && line.text.includes('"kind":"audit.dropped"')) this.#noteDropped(line)
  }

  #noteDropped(line: SealedLine): void {
    const through = entryOf(line).details?.['through'] as Link | undefined
    if (through) this.#dropped.set(through.seq, through.hash)
  }

  /** The start: the first line of all, or the one after those that an entry in the log says were dropped. */
  start(): void {
    if (this.#first === undefined) return
    const { file, line } = this.#first
    const before = line.seq - 1
    const expected = before === 0 ? GENESIS.hash : this.#dropped.get(before)
    if (expected === undefined)
      this.fault(file, 1, `${range(1, before)} missing before this one, and no entry says that old files were dropped up to there.`)
    else if (expected !== line.previous)
      this.fault(file, 1, `line ${line.seq} of the log does not follow line ${before}, which was dropped.`)
    else this.report.dropped = before
  }

  end(head: Link | undefined | null): void {
    const last = this.report.last?.seq ?? 0
    if (head === undefined && last > 0) this.fault(HEAD, undefined, 'it is missing: lines at the end may be, too.')
    if (head === null) this.fault(HEAD, undefined, 'it was changed: it cannot be read.')
    for (const { seq } of this.#wanted) {
      if (seq > last) this.fault(HEAD, undefined, `${range(last + 1, seq)} missing at the end.`)
      else if (seq <= this.report.dropped && seq > 0) {
        this.passing ||= seq === head?.seq
        this.fault(HEAD, undefined, `line ${seq} of the log was dropped with an old file: it cannot be compared.`)
      }
    }
  }
}

const look = async (dir: string, anchors: readonly Link[]): Promise<Verification> => {
  // Read first: a kernel that writes meanwhile puts lines before it moves the head.
  const head = await readHead(dir)
  const verification = new Verification([...(head ? [head] : []), ...anchors])
  const files = await logFiles(dir)
  for (const name of files) await verification.file(dir, name, name === files.at(-1))
  verification.start()
  verification.end(head)
  return verification
}

/**
 * Verifies the log in a folder, also while a kernel writes to it. `anchors` are lines that were noted elsewhere earlier: each must still be
 * there as it was. Rejects when the folder cannot be read.
 */
export const verifyAudit = async (dir: string, anchors: readonly Link[] = []): Promise<AuditReport> => {
  for (let looks = 1; ; looks++) {
    const written = await isLocked(dir)
    const { passing, report } = await look(dir, anchors)
    if (!passing || !written || looks === MAX_LOOKS) return report
    await delay(NEXT_LOOK)
  }
}

/** The last entries of the log in a folder, the oldest first. Lines that are no entries are left out. */
export const lastEntries = async (dir: string, count: number): Promise<ReturnType<typeof entryOf>[]> => {
  const entries: ReturnType<typeof entryOf>[] = []
  for (const name of (await logFiles(dir)).reverse()) {
    if (entries.length >= count) break
    const read = await readLines(join(dir, name)).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error
    })
    // A kernel that writes has dropped it, and all before it.
    if (!read) break
    const sound = read.lines.map(readLine).filter((line) => line?.sound) as SealedLine[]
    entries.unshift(...sound.slice(entries.length - count).map(entryOf))
  }
  return entries
}
