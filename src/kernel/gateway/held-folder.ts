/**
 * What is done in a folder is done in that one: it is held open meanwhile, and whoever may rename its parts or put a link there turns
 * nothing elsewhere.
 */
import { closeSync, type Dirent, existsSync, constants as flags, type OpenDirOptions, open as openDescriptor, readlinkSync } from 'node:fs'
import { type FileHandle, lstat, open, opendir, realpath, rm, rmdir, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from '../../wire-error.js'

/** Where Linux shows what is open, under the number of its descriptor: a way that is bound to the file and not to its name. */
const DESCRIPTORS = '/proc/self/fd'
/** Linux: open to lead elsewhere and for nothing more. Node does not name it. */
const O_PATH = 0o10000000
/** Windows has none of them. */
const { O_NOFOLLOW = 0, O_NONBLOCK = 0, O_DIRECTORY = 0 } = flags as Partial<typeof flags>
/** Folders in each other that are removed at once: each is held open. */
const MAX_DEPTH = 100
/** Entries of a folder that are read at once: of all of them in one turn, those of a large one would hold this thread. */
const CHUNK = 512

let bound: boolean | undefined

/** Whether a folder can be held here. Elsewhere what was opened is compared with what lies there afterwards. */
const holds = (): boolean => (bound ??= process.platform === 'linux' && existsSync(DESCRIPTORS))

/** An entry of a folder that is held. */
export interface Held {
  /** The way to it. Its last part is the only one that can still be swapped, so what follows links is not to be used with it. */
  path: string
  /** Where it lies, as the system says of the folder that is open. */
  real: string
}

/** What is open shows as the descriptor in errors: they name the folder. */
const named = (error: unknown, way: string, folder: string): unknown => {
  if (!(error instanceof Error)) return error
  for (const key of ['message', 'stack', 'path', 'dest'] as const) {
    const text = (error as NodeJS.ErrnoException & { dest?: string })[key]
    if (text?.includes(way)) Object.assign(error, { [key]: text.replaceAll(way, folder) })
  }
  return error
}

const openFolder = (path: string | Buffer, mode: number): Promise<number> =>
  promisify(openDescriptor)(path, mode | O_DIRECTORY | O_NOFOLLOW)

/**
 * Does something in a folder that is open, and closes it: at once, like the question where it lies, as neither waits for a disk and Node's
 * threads are a long way.
 */
const inside = async <Outcome>(folder: number, name: string, act: (way: string) => Promise<Outcome>): Promise<Outcome> => {
  const way = `${DESCRIPTORS}/${folder}/`
  try {
    return await act(way)
  } catch (error) {
    throw named(error, way, name.endsWith('/') ? name : `${name}/`)
  } finally {
    closeSync(folder)
  }
}

/** Holds the folder in which `real` lies, a path without links, while `act` is at work. */
export const hold = async <Outcome>(real: string, act: (held: Held) => Promise<Outcome>): Promise<Outcome> => {
  if (!holds()) return act({ path: real, real })
  const folder = dirname(real)
  return inside(await openFolder(folder, O_PATH), folder, async (way) => {
    // Of the root of the system there is no name.
    const name = basename(real)
    return act({ path: way + name, real: join(readlinkSync(way.slice(0, -1)), name) })
  })
}

/** Opens it, follows no link, and waits for nobody at the other end of a pipe. Undefined: something else lies there by now. */
export const openHeld = async ({ path, real }: Held, mode: number): Promise<FileHandle | undefined> => {
  const file = await open(path, mode | O_NOFOLLOW | O_NONBLOCK)
  if (holds() || (await isStill(file, real))) return file
  await file.close()
  return undefined
}

const isStill = async (file: FileHandle, real: string): Promise<boolean> => {
  const [opened, there, way] = await Promise.all([file.stat({ bigint: true }), lstat(real, { bigint: true }), realpath(real)]).catch(
    () => [],
  )
  return way === real && opened?.dev === there?.dev && opened?.ino === there?.ino
}

/** Has the entries of a folder taken, some at a time. */
export const listHeld = async (held: Held, take: (entries: readonly Dirent[]) => Promise<void>): Promise<void> => {
  const list = async (way: string): Promise<void> => {
    for await (const entries of chunksOf(way, 'utf8')) await take(entries)
  }
  if (!holds()) return list(held.path)
  return inside(await openFolder(held.path, flags.O_RDONLY), held.real, list)
}

async function* chunksOf(way: string, encoding: BufferEncoding | 'buffer'): AsyncGenerator<Dirent[]> {
  let entries: Dirent[] = []
  for await (const entry of await opendir(way, { bufferSize: CHUNK, encoding } as OpenDirOptions)) {
    if (entries.push(entry) < CHUNK) continue
    yield entries
    entries = []
  }
  yield entries
}

const unlessGone = (error: unknown): void => {
  if (codeOf(error) !== 'ENOENT') throw error
}

/** Removes it with all in it; it need not be there. */
export const removeHeld = async (held: Held): Promise<void> => {
  if (!holds()) return rm(held.path, { recursive: true, force: true })
  try {
    await unlink(held.path)
  } catch (error) {
    if (codeOf(error) === 'EISDIR') await removeFolder(Buffer.from(held.path), held.real, MAX_DEPTH)
    else unlessGone(error)
  }
}

/** Names are bytes: not every one is text. */
const removeFolder = async (path: Buffer, real: string, depth: number): Promise<void> => {
  if (depth === 0)
    throw Object.assign(new Error(`ENAMETOOLONG: more than ${MAX_DEPTH} folders in each other, rm '${real}'`), { code: 'ENAMETOOLONG' })
  await inside(await openFolder(path, flags.O_RDONLY), real, async (way) => {
    // All are known before the first is removed: what a system shows of a folder that changes as it is read is its own.
    const entries: Dirent[] = []
    for await (const some of chunksOf(way, 'buffer')) entries.push(...some)
    for (const entry of entries) {
      const name = entry.name as unknown as Buffer
      const entryPath = Buffer.concat([Buffer.from(way), name])
      if (entry.isDirectory()) await removeFolder(entryPath, join(real, name.toString()), depth - 1)
      else await unlink(entryPath).catch(unlessGone)
    }
  })
  await rmdir(path).catch(unlessGone)
}
