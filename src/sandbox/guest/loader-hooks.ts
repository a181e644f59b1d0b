/**
 * Module hooks in the thread that imports, on every Node: one that has no `module.registerHooks` (before 22.15) gets them here, around its own
 * loader. Those Nodes change no more, and a thread for the hooks of each thread would double the time and the memory that a plugin takes.
 */
import fs from 'node:fs'
import url from 'node:url'

interface Resolved {
  url: string
  format?: string | undefined
}

interface Loaded {
  /** Node takes the module for what lies there; it ends the whole process where there is none. */
  responseURL?: string
  format: string
  source: string | Uint8Array
}

/** What is known of a module before it is loaded. */
interface Asked {
  format?: string | undefined
  importAttributes?: object
}

type Next<Outcome> = (request: string, context: object) => Outcome

export interface LoaderHooks {
  resolve(specifier: string, context: object, next: Next<Resolved>): Resolved & { shortCircuit?: boolean }
  load(url: string, context: Asked, next: Next<unknown>): unknown
}

/** What is used of Node's own loader. `defaultResolve` is what `import`, `import.meta.resolve` and `require` of an ES module all come to. */
interface Loader {
  defaultResolve(specifier: string, parent: string | undefined, attributes: object): Resolved
  load(url: string, context: Asked): Promise<Loaded>
}

// Inline, a test runner may have put something else in its place for what is imported.
const nodeModule = process.getBuiltinModule('node:module')
// The plugin shares this realm and may change all it finds: what the loader needs is taken now.
const { apply, ownKeys } = Reflect
const { startsWith } = String.prototype
const { readFileSync } = fs
const { fileURLToPath } = url

/** Undefined where there can be none: the thread's flags must show it what Node is made of. */
export const loaderHooks = (): ((hooks: LoaderHooks) => void) | undefined => {
  if (typeof nodeModule.registerHooks === 'function') return nodeModule.registerHooks as unknown as (hooks: LoaderHooks) => void
  const loader = process.execArgv.includes('--expose-internals') ? ownLoader() : undefined
  return loader && ((hooks) => wrap(loader, hooks))
}

const ownLoader = (): Loader | undefined => {
  const require = nodeModule.createRequire(import.meta.url)
  const { getOrInitializeCascadedLoader } = require('internal/modules/esm/loader') as { getOrInitializeCascadedLoader?: () => Loader }
  const loader = getOrInitializeCascadedLoader?.()
  return typeof loader?.defaultResolve === 'function' && typeof loader.load === 'function' ? loader : undefined
}

const wrap = (loader: Loader, hooks: LoaderHooks): void => {
  const { defaultResolve, load } = loader
  const next: Next<Loaded | Promise<Loaded>> = (wanted, asked) => read(wanted, asked) ?? apply(load, loader, [wanted, asked])
  loader.defaultResolve = (specifier, parent, attributes) =>
    hooks.resolve(specifier, {}, (wanted) => apply(defaultResolve, loader, [wanted, parent, attributes]))
  loader.load = async (wanted, asked) => ({ responseURL: wanted, ...(await (hooks.load(wanted, asked, next) as Loaded | Promise<Loaded>)) })
}

/** An ES module's file, at once, as Nodes with hooks of their own do it; this one takes ten more of its modules into the thread to read it later. */
const read = (wanted: string, { format, importAttributes = {} }: Asked): Loaded | undefined =>
  format === 'module' && apply(startsWith, wanted, ['file:']) && ownKeys(importAttributes).length === 0
    ? { format, source: readFileSync(fileURLToPath(wanted)) }
    : undefined
