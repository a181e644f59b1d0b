/** How a plugin's imports are resolved: `plugbay/plugin` is the kernel's own copy wherever the folder lies, and TypeScript needs no build. */
import * as nodeModule from 'node:module'
import type { LoadRequest } from '../protocol.js'

let pluginModule = ''
let hooked = false

/** Node 22.15 and later run hooks in this thread; before, they need a thread of their own, made only for plugins that need them. */
export const prepareModules = async (request: LoadRequest): Promise<void> => {
  pluginModule = request.pluginModule
  if (hooked) return
  if (typeof nodeModule.registerHooks === 'function') {
    hooked = true
    nodeModule.registerHooks({
      resolve: (specifier, context, next) =>
        specifier === 'plugbay/plugin' ? { url: pluginModule, format: 'module', shortCircuit: true } : next(specifier, context),
    })
    if (process.features.typescript === false) await stripInThread()
  } else if (request.needsHooks) {
    hooked = true
    nodeModule.register('../off-thread-hooks.js', import.meta.url, { data: { pluginModule } })
  }
}

const stripInThread = async (): Promise<void> => {
  const { stripTypes } = await import('../../strip-types.js')
  const { readFileSync } = await import('node:fs')
  const { fileURLToPath } = await import('node:url')
  nodeModule.registerHooks({
    load: (url, context, next) => {
      if (!/\.m?ts$/.test(new URL(url).pathname)) return next(url, context)
      const path = fileURLToPath(url)
      return { format: 'module', source: stripTypes(readFileSync(path, 'utf8'), path), shortCircuit: true }
    },
  })
}
