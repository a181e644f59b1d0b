/**
 * The doors of what walks through folders: Node itself would ask for the first one alone, and follow the links in it to wherever they lead.
 */
import fs from 'node:fs'
import path from 'node:path'
import { lock } from './lock.js'

type Function = (...args: unknown[]) => unknown
/** Takes a path in any form; throws PERMISSION_DENIED for what may not be read, and returns what is to be handed on instead. */
type CheckRead = (given: unknown) => unknown
interface Options {
  encoding: unknown
  withFileTypes: unknown
}
interface Entry {
  name: string | Buffer
  isDirectory(): boolean
  isSymbolicLink(): boolean
}
/** Asks for one folder after the other, is given what is in each, and returns what is told of them all. */
type Walk = Generator<string, unknown[], Entry[]>

const { apply } = Reflect
const { statSync } = fs
const { join, relative, sep } = path
const { nextTick } = process
const NODE = Number.parseInt(process.versions.node, 10)

/**
 * Each folder on the way is listed by the doors of `node:fs`, which are there already: one that is not granted is left out, which they tell
 * the kernel.
 */
export const closeWalks = (checkRead: CheckRead): void => {
  const now = fs as unknown as Record<'readdir' | 'readdirSync', Function>
  const later = fs.promises as unknown as Record<'readdir', Function>
  const { readdir, readdirSync } = now
  const { readdir: readdirLater } = later
  const walkLaterFrom = (base: string, options: Options, follows: boolean): Promise<unknown[]> =>
    walkLater(base, walk(base, options, follows), (folder) => readdirLater(folder, typed(options)) as Promise<Entry[]>)
  now.readdirSync = (given, asked) => {
    const { base, options, handed } = held(given, asked, checkRead)
    if (options === undefined) return readdirSync(base, handed)
    return walkNow(base, walk(base, options, NODE >= 22), (folder) => readdirSync(folder, typed(options)) as Entry[])
  }
  later.readdir = async (given, asked) => {
    const { base, options, handed } = held(given, asked, checkRead)
    return options === undefined ? readdirLater(base, handed) : walkLaterFrom(base, options, NODE >= 26)
  }
  now.readdir = (given, asked, last) => {
    const { base, options, handed } = held(given, asked, checkRead)
    if (options === undefined || typeof last !== 'function') return readdir(base, handed, last)
    walkLaterFrom(base, options, NODE >= 22).then(
      // What it throws is an uncaught error, and no rejection.
      (found) => nextTick(last as Function, null, found),
      (error: unknown) => nextTick(last as Function, error),
    )
    return undefined
  }
  closeDir(checkRead)
}

interface Held {
  base: string
  /** Where it is to walk. */
  options: Options | undefined
  /** As they are now: an object could say something else when Node asks it. */
  handed: unknown
}

const held = (given: unknown, asked: unknown, checkRead: CheckRead): Held => {
  const base = checkRead(given) as string
  if (typeof asked !== 'object' || asked === null) return { base, options: undefined, handed: asked }
  const { encoding, withFileTypes, recursive } = asked as Record<string, unknown>
  const handed = { __proto__: null, encoding, withFileTypes, recursive }
  return { base, options: recursive === true && typeof base === 'string' ? handed : undefined, handed }
}

const typed = ({ encoding }: Options): unknown => ({ __proto__: null, encoding, withFileTypes: true })

/**
 * With the names that Node gives them. `follows`: entries with their types are told of what lies behind links, too, as names always are.
 */
function* walk(base: string, { withFileTypes }: Options, follows: boolean): Walk {
  const found: unknown[] = []
  const folders = [base]
  for (const folder of folders) {
    const way = relative(base, folder)
    for (const entry of yield folder) {
      const there = join(folder, String(entry.name))
      found.push(withFileTypes ? entry : nameFrom(way, entry.name))
      if (entry.isDirectory() || ((follows || !withFileTypes) && entry.isSymbolicLink() && isFolder(there))) folders.push(there)
    }
  }
  return found
}

const nameFrom = (way: string, name: string | Buffer): string | Buffer => {
  if (typeof name === 'string') return join(way, name)
  return way === '' ? name : Buffer.concat([Buffer.from(way + sep), name])
}

/** Asked of links: what leads to a file is not to be told of as a folder that was refused. */
const isFolder = (there: string): boolean => {
  try {
    return statSync(there).isDirectory()
  } catch {
    return false
  }
}

/** Nothing, for a folder that is not granted or not there any more; the first one is what was asked for. */
const nothingIn = (folder: string, base: string, error: unknown): Entry[] => {
  const { code } = error as { code?: unknown }
  if (folder !== base && (code === 'PERMISSION_DENIED' || code === 'ENOENT')) return []
  throw error
}

const walkNow = (base: string, steps: Walk, list: (folder: string) => Entry[]): unknown[] => {
  let step = steps.next()
  while (step.done !== true) {
    let entries: Entry[]
    try {
      entries = list(step.value)
    } catch (error) {
      entries = nothingIn(step.value, base, error)
    }
    step = steps.next(entries)
  }
  return step.value
}

const walkLater = async (base: string, steps: Walk, list: (folder: string) => Promise<Entry[]>): Promise<unknown[]> => {
  let step = steps.next()
  while (step.done !== true) {
    const folder = step.value
    step = steps.next(await list(folder).catch((error: unknown) => nothingIn(folder, base, error)))
  }
  return step.value
}

/** What Node 20 to 24 opens the folders within an opened one by is open to all. */
const closeDir = (checkRead: CheckRead): void => {
  const { prototype } = fs.Dir as unknown as { prototype: Record<string, Function> }
  const { readSyncRecursive } = prototype
  if (readSyncRecursive === undefined) return
  lock(prototype, 'readSyncRecursive', function (this: unknown, entry: { parentPath: string; name: string }) {
    const { parentPath, name } = entry
    checkRead(join(parentPath, name))
    return apply(readSyncRecursive, this, [{ __proto__: null, parentPath, name }])
  })
}
