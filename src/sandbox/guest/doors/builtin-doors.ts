/**
 * The doors of modules that reach files or native code past `node:fs`: a plugin that was granted one is held to its other grants there.
 * Each is loaded only for who was granted it.
 */
import type { Deny } from '../../permissions/denial.js'
import type { Grants } from '../../permissions/grants.js'
import type { CheckFile } from './file-doors.js'
import { lock } from './lock.js'

type Function = (...args: unknown[]) => unknown
type Class = new (...args: unknown[]) => object

// The plugin shares this realm and may change all it finds: what a check needs is taken now.
const { apply, construct, defineProperty, getPrototypeOf } = Reflect
const { create, keys } = Object
const { cwd } = process
const { getBuiltinModule } = process
const builtin = (name: string): Record<string, unknown> => getBuiltinModule(name) as unknown as Record<string, unknown>

/** For all time. */
export const closeBuiltins = ({ builtins, addons }: Grants, check: CheckFile, deny: Deny): void => {
  if (builtins.includes('wasi')) closeWasi(check)
  if (builtins.includes('v8')) closeSnapshots(check)
  if (builtins.includes('crypto') && !addons) {
    // An engine is native code, in a file.
    const crypto = builtin('node:crypto')
    if ('setEngine' in crypto) lock(crypto, 'setEngine', () => deny('load an engine of OpenSSL', 'addons', 'use'))
  }
}

/** A folder that is opened to a program in it may be read and written: that takes leave for both. */
const closeWasi = (check: CheckFile): void => {
  const wasi = builtin('node:wasi') as { WASI: Class }
  const { WASI } = wasi
  const native = nativeOf(WASI)
  // Node's own model refuses it.
  if (native === undefined) return
  const guarded: Class = function (options: unknown): object {
    return construct(WASI, [held(options, check)], new.target === (guarded as unknown) || new.target === undefined ? WASI : new.target)
  } as unknown as Class
  guarded.prototype = WASI.prototype
  // Whoever has one of these asks it for its class, and makes another.
  defineProperty(WASI.prototype, 'constructor', { value: guarded, writable: false, configurable: false })
  defineProperty(native, 'constructor', { value: undefined, writable: false, enumerable: false, configurable: false })
  defineProperty(guarded, 'name', { value: 'WASI' })
  lock(wasi, 'WASI', guarded)
}

/** What the objects inherit that a program imports: by them one would come to Node's own class beneath. */
const nativeOf = (WASI: Class): object | undefined => {
  try {
    const { wasiImport } = new WASI({ version: 'preview1' }) as { wasiImport: object }
    return getPrototypeOf(wasiImport) ?? undefined
  } catch {
    return undefined
  }
}

/** The options as they are now, with folders that are texts: an object could say something else when Node asks it. */
const held = (given: unknown, check: CheckFile): unknown => {
  if (typeof given !== 'object' || given === null) return given
  const options = { __proto__: null, ...given } as { preopens?: unknown }
  const { preopens } = options
  if (typeof preopens !== 'object' || preopens === null) return options
  const folders = create(null) as Record<string, unknown>
  const names = keys(preopens)
  for (let at = 0; at < names.length; at++) {
    const name = names[at] as string
    const folder = `${(preopens as Record<string, unknown>)[name] as string}`
    folders[name] = check('write', check('read', folder))
  }
  options.preopens = folders
  return options
}

/** A snapshot of the heap is a file, and lies in the working folder where nothing else is said. */
const closeSnapshots = (check: CheckFile): void => {
  const v8 = builtin('node:v8')
  const { writeHeapSnapshot, setHeapSnapshotNearHeapLimit } = v8 as Record<string, Function>
  if (writeHeapSnapshot)
    lock(v8, 'writeHeapSnapshot', (file: unknown, options: unknown) => {
      const checked = check('write', file ?? cwd())
      return apply(writeHeapSnapshot, v8, [file === undefined || file === null ? undefined : checked, options])
    })
  if (setHeapSnapshotNearHeapLimit)
    lock(v8, 'setHeapSnapshotNearHeapLimit', (limit: unknown) => {
      check('write', cwd())
      return apply(setHeapSnapshotNearHeapLimit, v8, [limit])
    })
}
