/**
 * How a plugin's imports are resolved: `plugbay/plugin` is the kernel's own copy wherever the folder lies, TypeScript needs no build, and
 * closed modules stay closed.
 */
import { readFileSync } from 'node:fs'
import nodeModule from 'node:module'
import url from 'node:url'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { PlugbayError } from '../../errors.js'
import { runsTypeScript, StrippedSources } from '../../strip-types.js'
import type { CheckImport } from '../permissions/builtin-modules.js'
import { assertRegular } from '../permissions/irregular-file.js'
import type { LoadRequest } from '../protocol.js'
import { bare } from './bare.js'
import { loaderHooks } from './loader-hooks.js'

/** The URL of a module that is stripped here. */
const TYPESCRIPT = /\.m?ts(?:[?#]|$)/

// The plugin shares this realm and may change all it finds: what a module is loaded by is taken now.
const { apply } = Reflect
const { startsWith } = String.prototype
const { fileURLToPath } = url

let pluginModule = ''
let hooked = false
const sources = new StrippedSources()
/** To the thread of the hooks, where they have one. */
let toHooks: MessagePort | undefined

type Prepared = Pick<LoadRequest, 'name' | 'pluginModule' | 'needsHooks' | 'stripped'> & Partial<Pick<LoadRequest, 'inline'>>

/** `check`: of a plugin that has a gate, what it imports by name and what that leads to; what CommonJS requires passes `closeGate` too. */
export const prepareModules = (request: Prepared, check?: CheckImport): void => {
  pluginModule = request.pluginModule
  if (!hooked) addHooks(request, check)
  const { stripped = [] } = request
  if (toHooks) toHooks.postMessage(stripped)
  else if (hooked) sources.add(stripped)
}

const addHooks = (request: Prepared, check: CheckImport | undefined): void => {
  const hook = loaderHooks()
  if (hook) {
    hooked = true
    hook({
      resolve: (specifier, context, next) => {
        if (specifier === 'plugbay/plugin') return bare({ url: pluginModule, format: 'module', shortCircuit: true })
        const resolved = next(specifier, context)
        check?.(resolved.url)
        return resolved
      },
      load: (wanted, context, next) => {
        // What was never resolved is asked for here. Inline the application's own modules pass, too: what it reads is its own affair.
        if (!apply(startsWith, wanted, ['file:'])) check?.(wanted)
        else if (!request.inline) assertRegular(fileURLToPath(wanted))
        if (runsTypeScript || !TYPESCRIPT.test(wanted)) return next(wanted, context)
        const path = fileURLToPath(wanted)
        return bare({ format: 'module', source: sources.strip(readFileSync(path, 'utf8'), path), shortCircuit: true })
      },
    })
  } else if (check) {
    throw new PlugbayError(
      'PLUGIN_LOAD',
      `Node ${process.version} has no module hooks in a plugin's thread, so plugin '${request.name}' cannot be held to its permissions there. Use Node 20.19, 22.15 or later.`,
      { plugin: request.name },
    )
  } else if (request.needsHooks) {
    hooked = true
    const { port1, port2 } = new MessageChannel()
    toHooks = port1
    toHooks.unref()
    nodeModule.register('../off-thread-hooks.js', import.meta.url, { data: { pluginModule, sent: port2 }, transferList: [port2] })
  }
}
