/**
 * Module hooks in the thread that imports, on every Node: one that has no `module.registerHooks` (before 22.15) gets them here, around its
 * own loader. Those Nodes change no more, and a thread for the hooks of each thread would double the time and the memory that a plugin
 * takes.
 */
import { bare } from './bare.js'

interface Resolved {
  url: string
  format?: string | undefined
}

interface Loaded {
  format: string
  source: string | Uint8Array | null
  shortCircuit?: boolean
}

/** What is known of a module before it is loaded. */
interface Asked {
  format?: string | undefined
  importAttributes?: object
}

type Next<Outcome> = (request: string, context: object) => Outcome

export interface LoaderHooks {
  resolve(specifier: string, context: object, next: Next<Resolved>): Resolved & { shortCircuit?: boolean }
  load(url: string, context: Asked, next: Next<Loaded>): Loaded
}

/**
 * What is used of Node's own loader. `defaultResolve` is what `import`, `import.meta.resolve` and `require` of an ES module all come to.
 */
interface Loader {
  defaultResolve(specifier: string, parent: string | undefined, attributes: object): Resolved
  /** Node takes the module for what lies at `responseURL`; it ends the whole process where there is none. */
  load(url: string, context: Asked): Loaded & { responseURL: string }
}

type LoadSync = (url: string, context: Asked & { source: string | undefined }) => Loaded

// Inline, a test runner may have put something else in its place for what is imported.
const nodeModule = process.getBuiltinModule('node:module')
// The plugin shares this realm and may change all it finds: what the loader needs is taken now.
const { apply } = Reflect

/** Undefined where there can be none: the thread's flags must show it what Node is made of. */
export const loaderHooks = (): ((hooks: LoaderHooks) => void) | undefined => {
  if (typeof nodeModule.registerHooks === 'function') return nodeModule.registerHooks as unknown as (hooks: LoaderHooks) => void
  return process.execArgv.includes('--expose-internals') ? ownHooks() : undefined
}

const ownHooks = (): ((hooks: LoaderHooks) => void) | undefined => {
  const require = nodeModule.createRequire(import.meta.url)
  const { getOrInitializeCascadedLoader } = require('internal/modules/esm/loader') as { getOrInitializeCascadedLoader?: () => Loader }
  // The next needs it, and it the next: Node loads them in this order.
  require('internal/modules/esm/resolve')
  const { defaultLoadSync } = require('internal/modules/esm/load') as { defaultLoadSync?: LoadSync }
  const loader = getOrInitializeCascadedLoader?.()
  if (typeof loader?.defaultResolve !== 'function' || typeof loader.load !== 'function' || defaultLoadSync === undefined) return undefined
  return (hooks) => wrap(loader, defaultLoadSync, hooks)
}

/**
 * All at once, as Nodes with hooks of their own do it: what Node's asynchronous steps resolve their promises with, the plugin could see and
 * change on its way, be it the file that is read or where the module is said to lie.
 */
const wrap = (loader: Loader, loadSync: LoadSync, hooks: LoaderHooks): void => {
  const { defaultResolve } = loader
  const next: Next<Loaded> = (wanted, asked: Asked) => {
    const { format, importAttributes = {} } = asked
    // CommonJS is read by what requires it.
    const source = format === 'commonjs' ? '' : undefined
    const loaded = loadSync(wanted, bare({ format, importAttributes, source }))
    return loaded.format === 'commonjs' ? bare({ ...loaded, source: null }) : loaded
  }
  loader.defaultResolve = (specifier, parent, attributes) =>
    hooks.resolve(specifier, {}, (wanted) => apply(defaultResolve, loader, [wanted, parent, attributes]))
  loader.load = (wanted, { format, importAttributes }) => {
    const loaded = hooks.load(wanted, bare({ format, importAttributes: importAttributes as object }), next)
    return bare({ format: loaded.format, source: loaded.source, responseURL: wanted })
  }
}
