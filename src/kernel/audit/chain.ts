/**
 * The form of an audit log: lines that each hold the hash of the line before, in files named by their first line, and a head that says
 * which line is the last.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One thing that happened. What is left out has no meaning for it. */
export interface AuditEntry {
  /** What happened: `plugin.state`, `action`, … docs/audit.md lists them. */
  kind: string
  plugin?: string | undefined
  generation?: number | undefined
  /** Who made it happen: `kernel` for what follows by itself. */
  actor: string
  reason?: string | undefined
  /** Whatever else there is to say: plain data, never a value of a configuration. */
  details?: Record<string, unknown> | undefined
}

/** A place in the chain: a line's number, from 1, and its hash. */
export interface Link {
  seq: number
  hash: string
}

/** What the first line of all says is before it. */
export const GENESIS: Link = { seq: 0, hash: '0'.repeat(64) }

// A file is read as latin1: one character a byte, so that the hash is taken over the very bytes that are there.
const sha256 = (text: string, encoding: 'utf8' | 'latin1'): string => createHash('sha256').update(text, encoding).digest('hex')

/** The line for an entry, after `previous`: JSON whose last member is the hash of all that stands before it. */
export const seal = (entry: AuditEntry & { time: string }, previous: Link): { line: string; link: Link } => {
  const { kind, time, plugin, generation, actor, reason, details } = entry
  const seq = previous.seq + 1
  const open = JSON.stringify({ seq, time, previous: previous.hash, kind, plugin, generation, actor, reason, details }).slice(0, -1)
  const hash = sha256(open, 'utf8')
  return { line: `${open},"hash":"${hash}"}\n`, link: { seq, hash } }
}

/** A line as it stands in a file. */
export interface SealedLine extends Link {
  /** The hash it says the line before it has. */
  previous: string
  /** Whether its own hash fits its text. */
  sound: boolean
  /** The whole line, byte for byte a character. */
  text: string
}

const LINE = /^(\{"seq":([1-9]\d{0,14}),"time":"[^"]{24}","previous":"([0-9a-f]{64})","kind":.*),"hash":"([0-9a-f]{64})"\}$/

/** Reads a line without its end. Undefined for what has not the form of one. */
export const readLine = (text: string): SealedLine | undefined => {
  const [, open, seq, previous, hash] = LINE.exec(text) ?? []
  if (open === undefined || previous === undefined || hash === undefined) return undefined
  return { seq: Number(seq), previous, hash, sound: sha256(open, 'latin1') === hash, text }
}

/** The entry that a sealed line holds. */
export const entryOf = ({ text }: SealedLine): AuditEntry & Link & { time: string } =>
  JSON.parse(Buffer.from(text, 'latin1').toString('utf8')) as AuditEntry & Link & { time: string }

/** The lines of a file, and what stands after the last end of a line: text that was not written to its end. */
export const readLines = async (file: string): Promise<{ lines: string[]; torn: string }> => {
  const lines = (await readFile(file, 'latin1')).split('\n')
  return { torn: lines.pop() ?? '', lines }
}

const FILE = /^(\d{15})\.jsonl$/

/** The name of the file whose first line has this number. */
export const fileName = (seq: number): string => `${String(seq).padStart(15, '0')}.jsonl`

/** The number a file's first line has by its name. */
export const firstOf = (name: string): number => Number(FILE.exec(name)?.[1])

/** The files of the log in a folder, the oldest first. Rejects when the folder cannot be read. */
export const logFiles = async (dir: string): Promise<string[]> => (await readdir(dir)).filter((name) => FILE.test(name)).sort()

/** The file that says which line is the last. */
export const HEAD = 'head.json'

export const headText = ({ seq, hash }: Link): string => `${JSON.stringify({ seq, hash })}\n`

/** What the head says; undefined when there is none, null when it cannot be read as one. */
export const readHead = async (dir: string): Promise<Link | undefined | null> => {
  const text = await readFile(join(dir, HEAD), 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const [, seq, hash] = /^\{"seq":(0|[1-9]\d{0,14}),"hash":"([0-9a-f]{64})"\}\n$/.exec(text) ?? []
  if (hash === undefined || (seq === '0' && hash !== GENESIS.hash)) return null
  return { seq: Number(seq), hash }
}
