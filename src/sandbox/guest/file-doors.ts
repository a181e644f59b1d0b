/** The doors of `node:fs`: every function of it that takes a path asks whether that lies in what the plugin was granted. */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath as pathOfUrl } from 'node:url'
import type { Deny } from '../denial.js'
import type { Grants } from '../grants.js'
import { words } from '../words.js'
import { lock } from './lock.js'

type Act = 'read' | 'write'
type Files = Record<string, unknown>
type Function = (...args: unknown[]) => unknown

type Acts = readonly (Act | undefined)[]

/** What each does with its first arguments. For the few plugins that get a function of `node:fs` into their hands. */
const actsByName = (): [string, Acts][] => [
  ...words(
    'access exists stat lstat statfs readFile readdir opendir readlink realpath watch watchFile unwatchFile createReadStream openAsBlob',
  ).map((name): [string, Acts] => [name, ['read']]),
  ...words(
    'writeFile appendFile mkdir mkdtemp mkdtempDisposable rm rmdir unlink truncate chmod lchmod chown lchown utimes lutimes createWriteStream',
  ).map((name): [string, Acts] => [name, ['write']]),
  ['rename', ['write', 'write']],
  ['copyFile', ['read', 'write']],
  ['cp', ['read', 'write']],
  ['link', ['write', 'write']],
  // What it leads to is asked for when it is followed.
  ['symlink', [undefined, 'write']],
]

// The plugin shares this realm and may change all it finds: what a check needs is taken now.
const { apply } = Reflect
// As the system follows links, to which `..` is what lies above where a link leads; and several times as fast as the one in JavaScript.
const realPath = fs.realpathSync.native
const { basename, dirname, isAbsolute, resolve, sep } = path
const { cwd } = process
const { startsWith, includes } = String.prototype
const { toString: textOf } = Buffer.prototype
const fileURLToPath = pathOfUrl
const WRITING = fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_APPEND

/** Takes a path in any of the forms that `node:fs` takes; throws PERMISSION_DENIED for what the plugin was not granted. */
export type CheckFile = (act: Act, given: unknown) => void

/** `own`: the folders, absolute, of the plugin's and the kernel's modules. */
export const fileCheck = ({ fs: { read, write } }: Grants, own: readonly string[], deny: Deny): CheckFile => {
  const allowed = { read: [...own, ...read], write: [...write] }
  return (act, given) => {
    const wanted = pathOf(given)
    if (wanted === undefined) return
    const real = realOf(wanted)
    const folders = allowed[act]
    for (let at = 0; at < folders.length; at++) {
      const folder = folders[at] as string
      if (folder === '*' || within(realOf(folder), real)) return
    }
    // Packages are code that every plugin may import.
    if (act === 'read' && apply(includes, real, [`${sep}node_modules${sep}`])) return
    const named = resolve(wanted)
    deny(`${act} ${named}`, `fs:${named}`, act)
  }
}

/** Of the URL of a module. */
export const checkUrl = (check: CheckFile, url: string): void => check('read', fileURLToPath(url))

/** Files that are open already are not asked for. */
export const closeFiles = ({ fs: { read, write }, builtins }: Grants, check: CheckFile): void => {
  if (read.length === 0 && write.length === 0 && builtins.length === 0) {
    // It gets no function of `node:fs` into its hands; the loader of CommonJS uses this one for it.
    guard(fs, 'readFileSync', ([wanted]) => check('read', wanted))
    return
  }
  const byName = actsByName()
  for (const [files, promises] of [
    [fs, false],
    [fs.promises, true],
  ] as unknown as [Files, boolean][]) {
    for (const [base, acts] of byName) {
      guard(files, base, (args) => checkEach(acts, args, check), promises)
      guard(files, `${base}Sync`, (args) => checkEach(acts, args, check))
    }
    for (const name of ['open', 'openSync']) guard(files, name, (args) => check(actOf(args[1]), args[0]), promises)
    // A pattern may lead anywhere.
    for (const name of ['glob', 'globSync']) guard(files, name, () => check('read', sep))
  }
  // It opens files past all of these.
  if ('Utf8Stream' in fs) lock(fs, 'Utf8Stream', undefined)
}

const checkEach = (acts: Acts, args: readonly unknown[], check: (act: Act, given: unknown) => void): void => {
  for (let at = 0; at < acts.length; at++) {
    const act = acts[at]
    if (act !== undefined) check(act, args[at])
  }
}

/** `promises`: they are those of `fs.promises`, which is not looked at here: to ask for it loads it. */
const guard = (files: Files, name: string, check: (args: readonly unknown[]) => void, promises = false): void => {
  const found = files[name] as Function | undefined
  if (typeof found !== 'function') return
  const guarded = function (this: unknown, ...args: unknown[]): unknown {
    check(args)
    return apply(found, this, args)
  }
  // A promise's function tells of a refusal by its promise; those that return an iterator do not.
  const promised = promises && name !== 'watch'
  // Not locked: libraries put theirs in the place of these, and get no other by it.
  files[name] = promised ? async (...args: unknown[]) => guarded(...args) : guarded
  // `realpath.native`, and what `util.promisify` finds.
  for (const key of Reflect.ownKeys(found)) {
    const member = (found as unknown as Record<PropertyKey, unknown>)[key]
    if (typeof member !== 'function' || key === 'prototype') continue
    Object.defineProperty(files[name], key, {
      value: (...args: unknown[]) => {
        check(args)
        return apply(member as Function, found, args)
      },
    })
  }
}

const actOf = (flags: unknown): Act => {
  if (typeof flags === 'number') return (flags & WRITING) === 0 ? 'read' : 'write'
  return flags === undefined || flags === 'r' || flags === 'rs' || flags === 'sr' || typeof flags !== 'string' ? 'read' : 'write'
}

/** As it is written: to shorten `link/..` would lead elsewhere than the system goes. */
const absolute = (given: string): string => (isAbsolute(given) ? given : cwd() + sep + given)

/** Absolute; undefined for what is no path, such as a descriptor: Node says what is wrong with it. */
const pathOf = (given: unknown): string | undefined => {
  if (typeof given === 'string') return absolute(given)
  if (given instanceof Uint8Array) return absolute(apply<Uint8Array, [], string>(textOf, given, []))
  // Whatever has one passes for a URL.
  if (typeof given === 'object' && given !== null && 'href' in given) return fileURLToPath(given as URL)
  return undefined
}

/** Links followed, as far as the path is there. */
const realOf = (wanted: string): string => {
  try {
    return realPath(wanted)
  } catch {
    const above = dirname(wanted)
    if (above === wanted) return wanted
    const there = resolve(realOf(above), basename(wanted))
    // Behind what is not there yet there may be links again: `new/../link`.
    return there === wanted ? wanted : realOf(there)
  }
}

const within = (folder: string, real: string): boolean =>
  real === folder || apply<string, [string], boolean>(startsWith, real, [folder === sep ? folder : folder + sep])
