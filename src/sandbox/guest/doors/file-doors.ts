/** The doors of `node:fs`: every function of it that takes a path asks whether that lies in what the plugin was granted. */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath as pathOfUrl } from 'node:url'
import type { Deny } from '../../permissions/denial.js'
import { type Grants, hasNet } from '../../permissions/grants.js'
import { words } from '../../permissions/words.js'
import { lock } from './lock.js'
import { closeWalks } from './walk-doors.js'
import { closeWatchers } from './watch-doors.js'

type Act = 'read' | 'write'
/** `look` and `change`: at what bears the name, be it a link; the others go where it leads. `target`: what a link is made to lead to. */
export type Use = Act | 'look' | 'change' | 'target'
type Files = Record<string, unknown>
type Function = (...args: unknown[]) => unknown

/** What each does with its first arguments. For the few plugins that get a function of `node:fs` into their hands. */
const usesByName = (): [string, readonly Use[]][] => [
  ...usedFor('access exists stat statfs readFile readdir opendir realpath watch watchFile unwatchFile createReadStream openAsBlob', 'read'),
  ...usedFor('lstat readlink', 'look'),
  ...usedFor('writeFile appendFile mkdir truncate chmod chown utimes createWriteStream', 'write'),
  ...usedFor('rm rmdir unlink lchmod lchown lutimes', 'change'),
  ...usedFor('mkdtemp mkdtempDisposable', 'write'),
  ['rename', ['change', 'change']],
  ['copyFile', ['read', 'write']],
  ['cp', ['read', 'write']],
  ['link', ['write', 'change']],
  ['symlink', ['target', 'change']],
]

const usedFor = (names: string, use: Use): [string, readonly Use[]][] => words(names).map((name) => [name, [use]])

// The plugin shares this realm and may change all it finds: what a check needs is taken now, and arrays are read by index, not by their
// iterator.
const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect
const { create } = Object
// As the system follows links, to which `..` is what lies above where a link leads; and several times as fast as the one in JavaScript.
const realPath = fs.realpathSync.native
const { readlinkSync } = fs
const { basename, dirname, isAbsolute, parse, resolve, sep } = path
const { cwd } = process
const { startsWith, endsWith, includes, slice } = String.prototype
const { utf8Slice } = Buffer.prototype as unknown as { utf8Slice(this: Uint8Array): string }
const kindOfArray = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag)?.get as (
  this: unknown,
) => string | undefined
const fileURLToPath = pathOfUrl
const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants
const ACCESS = O_WRONLY | O_RDWR
const WRITING = ACCESS | O_CREAT | O_TRUNC | O_APPEND
/** As many links as Linux follows. */
const LINKS = 40

/**
 * Takes a path in any of the forms that `node:fs` takes; throws PERMISSION_DENIED for what the plugin was not granted. Returns what is to
 * be handed on instead: an object could say something else when Node asks it.
 */
export type CheckFile = (use: Use, given: unknown) => unknown

/** A file that is reached: how, where its path leads, and how it is named. */
export type FileUsed = (use: Use, real: string, named: string) => void

/** What a plugin may reach of files. */
interface FileReach {
  grants: Grants
  /** The folders, absolute, of the plugin's and the kernel's modules. */
  own: readonly string[]
  /** See `LoadRequest`. */
  packages?: readonly string[] | undefined
}

/** `used`: takes what is reached in folders that are not the plugin's own, where all are open. */
export const fileCheck = ({ grants, own, packages = [] }: FileReach, deny: Deny, used?: FileUsed): CheckFile => {
  const { read, write } = grants.fs
  const linked = [...packages]
  const allowed = { read: [...own, ...read], write: [...write] }
  const kept = create(null) as Record<string, string | undefined>
  let keeps = write.length === 0
  /**
   * Who may write could put a link in a folder's place: where that is, is kept from the first look on, which is before the first change.
   */
  const keep = (folders: readonly string[]): void => {
    for (let at = 0; at < folders.length; at++) kept[folders[at] as string] = realOf(folders[at] as string)
  }
  /** Packages are code that every plugin may import. */
  const ofPackage = (real: string): boolean => {
    if (apply<string, [string], boolean>(includes, real, [`${sep}node_modules${sep}`])) return true
    for (let at = 0; at < linked.length; at++) if (within(linked[at] as string, real)) return true
    return false
  }
  const may = (act: Act, real: string, use: Use, wanted: string): boolean => {
    if (!keeps) {
      keep(allowed.read)
      keep(allowed.write)
      keeps = true
    }
    const folders = allowed[act]
    for (let at = 0; at < folders.length; at++) {
      const folder = folders[at] as string
      if (folder === '*') {
        if (used !== undefined && !(act === 'read' && ofPackage(real))) used(use, real, resolve(wanted))
        return true
      }
      if (within(kept[folder] ?? realOf(folder), real)) return true
    }
    return act === 'read' && ofPackage(real)
  }
  return (use, given) => {
    const text = textOf(given)
    if (typeof text !== 'string') return text
    const wanted = absolute(text)
    const act = actOf(use)
    const real = use === 'look' || use === 'change' ? placeOf(wanted) : realOf(wanted)
    if (!may(act, real, use, wanted) && !(use === 'target' && may('write', real, use, wanted))) {
      const named = resolve(wanted)
      deny(`${act} ${named}`, `fs:${named}`, act)
    }
    // What lies above depends on where a link leads when it is followed.
    return goesUp(text) ? real : text
  }
}

/** What takes leave to write, and what to read. */
export const actOf = (use: Use): Act => (use === 'write' || use === 'change' ? 'write' : 'read')

/** Of the URL of a module. */
export const checkUrl = (check: CheckFile, url: string): void => {
  check('read', fileURLToPath(url))
}

/** Files that are open already are not asked for. */
export const closeFiles = (grants: Grants, check: CheckFile): void => {
  // Node's own code asks it at each call where a path leads, and goes there.
  Object.freeze(path)
  const { read, write } = grants.fs
  const { builtins } = grants
  if (read.length === 0 && write.length === 0 && builtins.length === 0) {
    // It gets no function of `node:fs` into its hands. Others use these for it: the loader of CommonJS, `node:assert` on Node 20, which
    // quotes the code that failed, and `node:http2`.
    guard(fs, 'readFileSync', readingHeld(check))
    guard(fs, 'openSync', openHeld(check))
    if (hasNet(grants)) guard(fs, 'open', openHeld(check))
    return
  }
  askEach(check)
  const checkRead = (given: unknown): unknown => check('read', given)
  closeWalks(checkRead)
  closeWatchers(checkRead)
  for (const files of [fs, fs.promises] as unknown as Files[]) {
    // A pattern may lead anywhere.
    for (const name of ['glob', 'globSync']) {
      guard(files, name, (args) => {
        check('read', sep)
        return args
      })
    }
  }
  // It opens files past all of these.
  if ('Utf8Stream' in fs) lock(fs, 'Utf8Stream', undefined)
}

/** Every function that takes a path asks first, but for some; those that take a pattern go through them. */
export const askEach = (check: CheckFile, but: readonly string[] = []): void => {
  const byName = usesByName().filter(([base]) => !but.includes(base))
  for (const [files, promises] of [
    [fs, false],
    [fs.promises, true],
  ] as unknown as [Files, boolean][]) {
    for (const [base, uses] of byName) {
      guard(files, base, heldFor(base, uses, check), promises)
      guard(files, `${base}Sync`, heldFor(base, uses, check))
    }
    for (const name of ['open', 'openSync']) guard(files, name, openHeld(check), promises)
  }
}

/** Checks arguments, and returns those that are handed on: texts and options that were looked at once. */
type Hold = (args: unknown[]) => unknown[]

const heldFor = (base: string, uses: readonly Use[], check: CheckFile): Hold => {
  if (base === 'readFile') return readingHeld(check)
  if (base === 'symlink') return linkHeld(check)
  if (base === 'mkdtemp' || base === 'mkdtempDisposable') return beginningHeld(check)
  if (base === 'cp') return copyHeld(check)
  return (args) => each(uses, args, check)
}

const each = (uses: readonly Use[], args: unknown[], check: CheckFile): unknown[] => {
  for (let at = 0; at < uses.length && at < args.length; at++) args[at] = check(uses[at] as Use, args[at])
  return args
}

const openHeld =
  (check: CheckFile): Hold =>
  (args) => {
    if (args.length > 0) args[0] = checkOpen(args[0], args.length > 1 ? args[1] : undefined, check)
    return args
  }

/** What is opened to read and write needs leave for both, as with Node's own model. */
const checkOpen = (given: unknown, flags: unknown, check: CheckFile): unknown => {
  let text = given
  if (reads(flags)) text = check('read', text)
  if (writes(flags)) text = check('write', text)
  return text
}

const reads = (flags: unknown): boolean => {
  if (typeof flags === 'number') return (flags & ACCESS) !== O_WRONLY
  return (
    typeof flags !== 'string' ||
    apply<string, [string], boolean>(includes, flags, ['r']) ||
    apply<string, [string], boolean>(includes, flags, ['+'])
  )
}

const writes = (flags: unknown): boolean => {
  if (typeof flags === 'number') return (flags & WRITING) !== 0
  return typeof flags === 'string' && flags !== 'r' && flags !== 'rs' && flags !== 'sr'
}

/** It makes or empties a file, too, if it is told so. */
const readingHeld =
  (check: CheckFile): Hold =>
  (args) => {
    if (args.length === 0) return args
    if (args.length > 1) args[1] = asTheyAre(args[1])
    const options = args[1]
    const flag = typeof options === 'object' && options !== null ? (options as { flag?: unknown }).flag : undefined
    args[0] = check('read', args[0])
    if (writes(flag)) args[0] = check('write', args[0])
    return args
  }

/** A link may not lead to where its plugin may not go: it could be put in a checked path's place before the system goes there. */
const linkHeld =
  (check: CheckFile): Hold =>
  (args) => {
    if (args.length < 2) return args
    const target = textOf(args[0])
    const link = check('change', args[1])
    args[0] = target
    args[1] = link
    if (typeof target !== 'string' || typeof link !== 'string') return args
    const led = check('target', isAbsolute(target) ? target : dirname(link) + sep + target)
    // Moved, the link would lead elsewhere.
    if (goesUp(target)) args[0] = led
    return args
  }

/** What is made lies beside where a prefix without a last part leads. */
const beginningHeld =
  (check: CheckFile): Hold =>
  (args) => {
    if (args.length === 0) return args
    const prefix = textOf(args[0])
    args[0] = prefix
    if (typeof prefix !== 'string') return args
    const whole = `${prefix}X`
    const folder = check('write', dirname(whole))
    if (goesUp(prefix)) args[0] = (folder as string) + sep + apply<string, [number, number], string>(slice, basename(whole), [0, -1])
    return args
  }

/** Every file on the way is looked at, with a filter of which Node asks each; links are made as absolute ones. */
const copyHeld =
  (check: CheckFile): Hold =>
  (args) => {
    const second = args.length > 2 ? args[2] : undefined
    const called = typeof second === 'function'
    const options = (called || second === undefined ? create(null) : asTheyAre(second)) as { filter?: unknown; verbatimSymlinks?: unknown }
    const from = check('read', args[0])
    const to = check('write', args[1])
    if (typeof options === 'object' && options !== null) {
      const { filter } = options
      options.verbatimSymlinks = false
      options.filter = (source: unknown, copy: unknown): unknown => {
        const wanted = typeof filter === 'function' ? apply(filter, undefined, [source, copy]) : true
        if (!wanted) return false
        check('read', source)
        check('write', copy)
        return wanted
      }
    }
    return [from, to, options, called ? second : args.length > 3 ? args[3] : undefined]
  }

/** Options as they are now; what they inherit is theirs, but for what all objects have. */
const asTheyAre = (given: unknown): unknown => {
  if (typeof given !== 'object' || given === null) return given
  const options = create(null) as Record<string, unknown>
  for (const key in given) options[key] = (given as Record<string, unknown>)[key]
  return options
}

/** `promises`: they are those of `fs.promises`, which is not looked at here: to ask for it loads it. */
const guard = (files: Files, name: string, hold: Hold, promises = false): void => {
  const found = files[name] as Function | undefined
  if (typeof found !== 'function') return
  const guarded = function (this: unknown, ...args: unknown[]): unknown {
    return apply(found, this, hold(args))
  }
  // A promise's function tells of a refusal by its promise; those that return an iterator do not.
  const promised = promises && name !== 'watch'
  // Not locked: libraries put theirs in the place of these, and get no other by it.
  files[name] = promised ? promising(name, guarded) : guarded
  // `realpath.native`, and what `util.promisify` finds.
  for (const key of Reflect.ownKeys(found)) {
    const member = (found as unknown as Record<PropertyKey, unknown>)[key]
    if (typeof member !== 'function' || key === 'prototype') continue
    defineProperty(files[name] as object, key, { value: (...args: unknown[]) => apply(member as Function, found, hold(args)) })
  }
}

const promising =
  (name: string, guarded: Function): Function =>
  async (...args: unknown[]): Promise<unknown> => {
    const { 0: opened, 1: second, 2: third } = args
    // A file that is open already does by itself what it is given to.
    const own = typeof opened === 'object' && opened !== null && 'fd' in opened ? (opened as Files)[name] : undefined
    return typeof own === 'function' ? apply(own as Function, opened, [second, third]) : apply(guarded, undefined, args)
  }

/** As it is written: to shorten `link/..` would lead elsewhere than the system goes. */
const absolute = (given: string): string => (isAbsolute(given) ? given : cwd() + sep + given)

const goesUp = (text: string): boolean => apply<string, [string], boolean>(includes, text, ['..'])

/**
 * Of a path in any of its forms. What is none, such as a descriptor, is returned as it is, objects aside: Node says what is wrong with it.
 */
export const textOf = (given: unknown): unknown => {
  if ((typeof given !== 'object' && typeof given !== 'function') || given === null) return given
  if (apply(kindOfArray, given, []) === 'Uint8Array') return apply<Uint8Array, [], string>(utf8Slice, given as Uint8Array, [])
  // Whatever has one passes for a URL.
  return (given as { href?: unknown }).href === undefined ? undefined : fileURLToPath(given as URL)
}

/** Links followed, as far as the path is there. */
const realOf = (wanted: string, links = 0): string => {
  try {
    return realPath(wanted)
  } catch {
    const above = dirname(wanted)
    // No more than the system does.
    if (above === wanted || links > LINKS) return parse(wanted).root
    const there = resolve(realOf(above, links), basename(wanted))
    const target = targetOf(there)
    if (target !== undefined) return realOf(isAbsolute(target) ? target : dirname(there) + sep + target, links + 1)
    // Behind what is not there yet there may be links again: `new/../link`.
    return there === wanted ? wanted : realOf(there, links)
  }
}

/** Of a link that leads to what is not there yet; undefined: it is none. */
const targetOf = (wanted: string): string | undefined => {
  try {
    return readlinkSync(wanted)
  } catch {
    return undefined
  }
}

/** Where it lies itself, be it a link; one that is written as a folder is followed. */
const placeOf = (wanted: string): string => {
  const name = basename(wanted)
  if (
    name === '.' ||
    name === '..' ||
    apply<string, [string], boolean>(endsWith, wanted, ['/']) ||
    apply<string, [string], boolean>(endsWith, wanted, [sep])
  )
    return realOf(wanted)
  return resolve(realOf(dirname(wanted)), name)
}

const within = (folder: string, real: string): boolean =>
  real === folder || apply<string, [string], boolean>(startsWith, real, [folder === sep ? folder : folder + sep])
