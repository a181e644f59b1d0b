/** While permissions are learnt: what a plugin imports of Node, which variables it reads and which files it reaches, as it does so. */
import fs from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type CheckImport, COMPRESSION, moduleName, OPEN } from '../../permissions/builtin-modules.js'
import { TEMPORARY } from '../../permissions/temporary-folder.js'
import { actOf, type FileUsed, textOf } from './file-doors.js'

// Taken before these functions tell of what they are asked.
const { existsSync } = fs
const realPath = fs.realpathSync.native

type Function = (...args: unknown[]) => unknown
type Class = new (...args: unknown[]) => object

/** Takes what the plugin used. */
export type Used = (resource: string, action: string) => void

/** Tells each once. */
const once = (used: Used): Used => {
  const told = new Set<string>()
  return (resource, action) => {
    const what = `${action} ${resource}`
    if (told.has(what)) return
    told.add(what)
    used(resource, action)
  }
}

/** Of the modules that `check` lets pass, those that need a permission. */
export const recordImports = (check: CheckImport | undefined, used: Used): CheckImport => {
  const tell = once(used)
  return (specifier) => {
    check?.(specifier)
    const name = typeof specifier === 'string' ? moduleName(specifier) : undefined
    if (name !== undefined && !OPEN.includes(name)) tell(`builtin:${name}`, 'import')
  }
}

/** The globals that come with a module. */
export const recordGlobals = (used: Used): void => {
  const tell = once(used)
  const streams = process.getBuiltinModule('node:stream/web')
  for (const name of COMPRESSION) {
    const construct = (Stream: Class, given: unknown[], made: Class): object => {
      tell('builtin:zlib', 'import')
      return Reflect.construct<unknown[], object>(Stream, given, made)
    }
    const recorded = new Proxy(streams[name] as Class, { construct })
    for (const owner of [globalThis, streams]) Object.defineProperty(owner, name, { value: recorded, writable: true, configurable: true })
  }
  const prototype = Object.getPrototypeOf(crypto) as object
  const subtle = Object.getOwnPropertyDescriptor(prototype, 'subtle') as PropertyDescriptor & { get: () => unknown }
  const get = function (this: unknown): unknown {
    tell('builtin:crypto', 'import')
    return Reflect.apply(subtle.get, this, [])
  }
  Object.defineProperty(prototype, 'subtle', { ...subtle, get })
}

/** Files that nothing but a permission opens to it. */
export const recordFiles = (used: Used): FileUsed => {
  const tell = once(used)
  return (use, real) => tell(`fs:${real}`, actOf(use))
}

/**
 * The same in a process: the system opens to it what is there when it starts, by its name. So what it makes, moves or removes is learnt as
 * the folder in which it does that.
 */
export const recordOpened = (used: Used): FileUsed => {
  const tell = once(used)
  const made = new Set<string>()
  return (use, _real, named) => {
    const act = actOf(use)
    if (use === 'change') made.add(named)
    if (act === 'write') for (let at = named; !existsSync(at); at = dirname(at)) made.add(at)
    let path = named
    for (let at = named; at !== dirname(at); at = dirname(at)) if (made.has(at)) path = dirname(at)
    tell(`fs:${path}`, act)
  }
}

/** Folders whose names nobody chose: that they are such ones, as each is made. */
export const recordTemporary = (used: Used): void => {
  const tell = (made: unknown): unknown => {
    const given = typeof made === 'object' && made !== null && 'path' in made ? made.path : made
    const named = resolve(String(textOf(given)))
    for (const path of new Set([named, existsSync(named) ? realPath(named) : named])) used(`fs:${path}`, TEMPORARY)
    return made
  }
  const files = fs as unknown as Record<string, Function>
  const promises = fs.promises as unknown as Record<string, Function>
  const { mkdtemp } = files as { mkdtemp: Function }
  files['mkdtemp'] = (...args) => {
    const last = args.length - 1
    const told = args[last]
    if (typeof told === 'function') args[last] = (error: unknown, made: unknown) => told(error, error ? made : tell(made))
    return mkdtemp(...args)
  }
  for (const name of ['mkdtempSync', 'mkdtempDisposableSync']) {
    const make = files[name]
    if (make) files[name] = (...args) => tell(make(...args))
  }
  for (const name of ['mkdtemp', 'mkdtempDisposable']) {
    const make = promises[name]
    if (make) promises[name] = async (...args) => tell(await make(...args))
  }
}

/** What programs call their variables. Other names are asked of every object, as `then` is. */
const NAME = /^[A-Z][A-Z0-9_]*$/
const NAME_OF_ONE = /^\w+$/

/** Whether it is Node that reads the variable, for its own ends: the line after those of the three functions here says who does. */
const readByNode = (): boolean => /^\s*at (?:.*\()?node:/.test(new Error().stack?.split('\n')[4] ?? '')

/** Also those that are not set here: elsewhere they may be. Who lists them all, as a copy does, has named none. */
export const recordVariables = (env: NodeJS.ProcessEnv, used: Used): NodeJS.ProcessEnv => {
  const tell = once(used)
  let listing = false
  const note = (name: string | symbol): void => {
    if (listing || typeof name === 'symbol' || !(Object.hasOwn(env, name) ? NAME_OF_ONE : NAME).test(name)) return
    if (!readByNode()) tell(`env:${name}`, 'read')
  }
  return new Proxy(env, {
    get: (target, name) => {
      note(name)
      return Reflect.get(target, name) as unknown
    },
    has: (target, name) => {
      note(name)
      return Reflect.has(target, name)
    },
    ownKeys: (target) => {
      // What is read of them in the same turn is read because it was listed.
      if (!listing) queueMicrotask(() => (listing = false))
      listing = true
      return Reflect.ownKeys(target)
    },
  })
}
