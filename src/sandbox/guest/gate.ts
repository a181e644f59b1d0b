/** The gate of a plugin's thread: closes, before the plugin's first line runs, the ways to what it was not granted. */
import asyncHooks from 'node:async_hooks'
import nodeModule from 'node:module'
import { dirname, isAbsolute, resolve } from 'node:path'
import type PerfHooks from 'node:perf_hooks'
import { fileURLToPath, pathToFileURL, URL } from 'node:url'
import workerThreads from 'node:worker_threads'
import { type CheckImport, hasSockets, importable, importCheck, moduleName } from '../permissions/builtin-modules.js'
import { type Deny, denyFor } from '../permissions/denial.js'
import type { Grants } from '../permissions/grants.js'
import { assertRegular } from '../permissions/irregular-file.js'
import type { LoadRequest, LogLevel } from '../protocol.js'
import { makeAsyncStorage } from './async-storage.js'
import { bare } from './bare.js'
import { closeBuiltins } from './doors/builtin-doors.js'
import { closeCloning, closePerfHooks } from './doors/clone-doors.js'
import { type CheckFile, checkUrl, closeFiles, fileCheck } from './doors/file-doors.js'
import { closeGlobals, withholdCompressionStreams } from './doors/global-doors.js'
import { lock, protect } from './doors/lock.js'
import { closeHistograms, closeNative } from './doors/native-doors.js'
import { closeNet } from './doors/net-doors.js'
import { closeProcess } from './doors/process-doors.js'
import { recordFiles, recordImports, recordTemporary, type Used } from './doors/recorder.js'
import { prepareModules } from './module-hooks.js'
import { replaceStdio } from './stdio.js'

/** Whose gate it is, and who hears of what happens at it. */
export interface Gate {
  plugin: Pick<LoadRequest, 'name' | 'root' | 'packages' | 'pluginModule' | 'needsHooks' | 'stripped'>
  grants: Grants
  /** Takes each denial. */
  tell(resource: string, action: string): void
  /** While permissions are learnt: takes what the plugin used. */
  used?: Used | undefined
  /** Takes what the plugin writes to its standard streams. */
  output(level: LogLevel, text: string): void
}

/** For all time: a thread has one plugin. */
export const closeGate = ({ plugin, grants, tell, used, output }: Gate): void => {
  const deny = denyFor(plugin.name, tell)
  const reach = { grants, own: [plugin.root, dirname(fileURLToPath(plugin.pluginModule))], packages: plugin.packages }
  const checkFile = fileCheck(reach, deny, used && recordFiles(used))
  const check = closingWhenAsked(
    importCheck(importable(grants), deny, (url) => checkUrl(checkFile, url)),
    grants,
    deny,
  )
  const checkImport = used ? recordImports(check, used) : check
  prepareModules(plugin, checkImport)
  replaceStdio(output)
  if (hasSockets(grants)) closeNet({ grants, deny, checkFile, used })
  closeProcess(grants, deny, checkImport, used)
  closeFiles(grants, checkFile)
  if (used) recordTemporary(used)
  if (grants.builtins.length > 0) closeBuiltins(grants, checkFile, deny)
  closeGlobals(grants, deny, used)
  closeModules(deny, checkImport)
  closeLookups(
    checkFile,
    fileCheck(
      reach,
      denyFor(plugin.name, () => {}),
    ),
  )
  closeThreads(grants, deny)
  closeCloning()
  closeNative()
  // Node's loader calls these by their names, with itself: a changed one would be handed what loads all modules without a look.
  protect(Function.prototype, ['apply', 'bind', 'call'])
  closePromises()
  // The kernel's wire is one of these: a changed method would be handed it, and so would another prototype of theirs.
  protect(EventTarget.prototype)
  Object.preventExtensions(EventTarget.prototype)
  for (const prototype of [Object.getPrototypeOf(MessagePort.prototype) as object, MessagePort.prototype]) {
    protect(prototype)
    // Nor does one get before those that are inherited: Node dispatches by such a one.
    Object.preventExtensions(prototype)
  }
  // Modules that were imported before show their members as they are now.
  nodeModule.syncBuiltinESMExports()
}

/**
 * What is closed in one of Node's modules when that is asked for: to load it before would take each thread longer than most that the gate
 * does.
 */
const closingWhenAsked = (check: CheckImport, grants: Grants, deny: Deny): CheckImport => {
  const closings: Record<string, ((module: never) => void) | undefined> = bare({
    perf_hooks: (hooks: typeof PerfHooks) => {
      closePerfHooks(hooks)
      closeHistograms(hooks)
    },
    'stream/web': grants.builtins.includes('zlib') ? undefined : (streams: object) => withholdCompressionStreams(streams, deny),
  })
  return (specifier) => {
    check(specifier)
    const name = moduleName(specifier as string)
    const close = name === undefined ? undefined : closings[name]
    if (close === undefined) return
    closings[name as string] = undefined
    close(getBuiltinModule(`node:${name}`) as never)
    syncBuiltinESMExports()
  }
}

/**
 * What waits for a promise asks these of it, Node's loader too: a changed one would be handed what Node makes modules of, of which a wrong
 * call ends the process.
 */
const closePromises = (): void => {
  protect(Promise.prototype, ['constructor', 'then'])
  Object.defineProperty(Promise, Symbol.species, { configurable: false })
}

/** Members of `node:module` that would load past the hooks, add hooks before ours, read and write files, or show what Node read of them. */
const CLOSED_OF_MODULE = [
  'findSourceMap',
  'register',
  'registerHooks',
  'enableCompileCache',
  'flushCompileCache',
  'runMain',
  '_preloadModules',
  '_initPaths',
  '_stat',
  '_readPackage',
]

const { apply } = Reflect
const { test } = RegExp.prototype
// Not the one that asks: what the gate itself loads, the plugin has not used.
const getBuiltinModule = process.getBuiltinModule.bind(process)
const { syncBuiltinESMExports } = nodeModule

type Loader = (request: unknown, ...rest: unknown[]) => unknown
type Extension = (module: unknown, file: unknown) => unknown
type Compile = (code: unknown, file: unknown, format: unknown) => unknown

interface Loading {
  _load: Loader
  _resolveFilename: Loader
  _extensions: Record<string, Extension>
  prototype: { _compile: Compile }
  wrap(script: unknown): unknown
}

/** CommonJS: everything a module requires goes through `_load`, and `module.constructor` shows it to everyone. */
const closeModules = (deny: Deny, check: CheckImport): void => {
  const Module = nodeModule as unknown as Record<string, unknown> & Loading
  const { _load: load, _resolveFilename: resolveFilename, _extensions: extensions, prototype } = Module
  lock(Module, '_load', (request: unknown, parent: unknown, isMain: unknown) => {
    check(request)
    return apply(load, Module, [request, parent, isMain])
  })
  // What it answers is loaded without another look, and the plugin may have a hand in where it looks.
  lock(Module, '_resolveFilename', (request: unknown, parent: unknown, isMain: unknown, options: unknown) => {
    const found = apply(resolveFilename, Module, [request, parent, isMain, options])
    if (found !== request) {
      check(found)
      if (typeof found === 'string') assertRegular(found)
    }
    return found
  })
  // Given what is no text, these end the whole process. Not locked: libraries put theirs in the place of these, and get no other by it.
  for (const kind of Object.keys(extensions)) {
    const load = extensions[kind] as Extension
    extensions[kind] = (module, file) => {
      if (typeof file !== 'string') deny('load a file that is named by no text')
      return apply(load, extensions, [module, file])
    }
  }
  const { _compile: compile } = prototype
  let { wrap } = Module
  prototype._compile = function (code, file, format) {
    if (typeof code !== 'string' || typeof file !== 'string') deny('compile what is no text')
    const own = Module.wrap
    // Of what is put in its place Node expects a text, too.
    if (own !== wrap) Module.wrap = wrap = (script) => `${own(script) as string}`
    return apply(compile, this, [code, file, format])
  }
  for (const name of CLOSED_OF_MODULE) {
    if (name in Module) lock(Module, name, () => deny(`use module.${name}()`))
  }
  // The map that a module names is read by Node itself, from wherever it is, and asked by these when a stack is written: a changed one
  // would be handed it.
  Object.freeze(nodeModule.SourceMap.prototype)
}

/** By a name that begins so, one file is meant, and not whichever of many places has one. */
const ONE_PLACE = /^\.{0,2}(?:[\\/]|$)/

/** What finds files for `node:module` tells of no other than the plugin may read: not whether it is there either. */
const closeLookups = (check: CheckFile, checkUntold: CheckFile): void => {
  const Module = nodeModule as unknown as Record<'_findPath' | 'findPackageJSON', Loader | undefined>
  const { _findPath: findPath, findPackageJSON } = Module
  const readable = (path: unknown, by = check): boolean => {
    try {
      by('read', path)
      return true
    } catch {
      return false
    }
  }
  // Not locked: libraries put theirs in its place, and that gets at no other by it.
  if (findPath)
    Module._findPath = (request: unknown, given: unknown, isMain: unknown, ...rest: unknown[]) => {
      const name = `${request as string}`
      const paths = texts(given)
      if (isAbsolute(name)) check('read', name)
      else if (apply(test, ONE_PLACE, [name])) {
        if (!inWorkingFolder(paths)) for (let at = 0; at < paths.length; at++) check('read', resolve(paths[at] as string, name))
        else if (!readable(resolve(name), checkUntold)) return false
      }
      const found = apply(findPath, Module, [name, paths, isMain, ...rest])
      return found === false || readable(found) ? found : false
    }
  if (findPackageJSON)
    lock(Module, 'findPackageJSON', (...given: unknown[]) => {
      const named = given.map((each) => (each === undefined ? each : `${each as string}`))
      const target = targetOf(named[0], named[1])
      if (target !== undefined) check('read', target)
      const found = apply(findPackageJSON, Module, named)
      return found === undefined || readable(found) ? found : undefined
    })
}

/**
 * Where Node looks for what a module in no file names. It looks there by itself, for a hint, when an import leads to nothing: of that the
 * plugin knows nothing, and it is no denial.
 */
const inWorkingFolder = (paths: readonly string[]): boolean => paths.length === 1 && paths[0] === '.'

/** As they are now. */
const texts = (given: unknown): string[] => {
  const all: string[] = []
  const { length } = (given ?? []) as string[]
  for (let at = 0; at < length; at++) all[at] = `${(given as string[])[at]}`
  return all
}

/** The file that is meant; undefined for the name of a package, and for what is no name of a file. */
const targetOf = (named = '', from = 'data:'): string | undefined => {
  try {
    const base = isAbsolute(from) ? pathToFileURL(from) : from
    return fileURLToPath(apply(test, ONE_PLACE, [named]) ? new URL(named, base) : new URL(named))
  } catch {
    return undefined
  }
}

/**
 * What `node:worker_threads` and `node:async_hooks` would show of the kernel's own wire and of other threads, also to a plugin that was
 * granted them.
 */
const closeThreads = (grants: Grants, deny: Deny): void => {
  lock(workerThreads, 'workerData', null)
  lock(workerThreads, 'parentPort', null)
  for (const name of ['getEnvironmentData', 'setEnvironmentData', 'postMessageToThread', 'BroadcastChannel'] as const) {
    if (name in workerThreads)
      lock(workerThreads, name, () => {
        deny(`use ${name} of node:worker_threads`)
      })
  }
  if ('locks' in workerThreads) lock(workerThreads, 'locks', undefined)
  if (grants.builtins.includes('async_hooks')) return
  // It takes the first of the two below when it is loaded, and shows nobody what that is told.
  if (grants.builtins.includes('domain')) getBuiltinModule('node:domain')
  // Made of the two below, and later than now on Node 22: before it is asked for it is not there.
  const { AsyncLocalStorage } = asyncHooks
  if ('_propagate' in AsyncLocalStorage.prototype) lock(asyncHooks, 'AsyncLocalStorage', makeAsyncStorage())
  for (const name of ['createHook', 'executionAsyncResource'] as const) {
    lock(asyncHooks, name, () => deny(`use async_hooks.${name}()`, 'builtin:async_hooks', 'import'))
  }
}
