/** How a plugin's imports are resolved: `plugbay/plugin` is the kernel's own copy wherever the folder lies, TypeScript needs no build, and closed modules stay closed. */
import nodeModule from 'node:module'
import { type CheckImport, importable } from '../builtin-modules.js'
import type { LoadRequest } from '../protocol.js'

let pluginModule = ''
let hooked = false

/**
 * Node 22.15 and later run hooks in this thread; before, they need a thread of their own, made only for plugins that need them. `check`: of a
 * plugin that has a gate; what CommonJS requires on those earlier Nodes passes no hook, but `closeGate`.
 */
export const prepareModules = async (request: LoadRequest, check?: CheckImport): Promise<void> => {
  pluginModule = request.pluginModule
  if (hooked) return
  if (typeof nodeModule.registerHooks === 'function') {
    hooked = true
    if (process.features.typescript === false) await stripInThread()
    nodeModule.registerHooks({
      resolve: (specifier, context, next) => {
        if (specifier === 'plugbay/plugin') return { url: pluginModule, format: 'module', shortCircuit: true }
        check?.(specifier)
        const resolved = next(specifier, context)
        // An import map or another name may lead to a closed module too.
        check?.(resolved.url)
        return resolved
      },
    })
  } else if (request.needsHooks || check !== undefined) {
    hooked = true
    const { name, grants } = request
    const gate = grants && { plugin: name, importable: importable(grants) }
    nodeModule.register('../off-thread-hooks.js', import.meta.url, { data: { pluginModule, gate } })
  }
}

const stripInThread = async (): Promise<void> => {
  const { stripTypes } = await import('../../strip-types.js')
  const { readFileSync } = await import('node:fs')
  const { fileURLToPath } = await import('node:url')
  // Its engine imports what a plugin may not: it is loaded now.
  stripTypes('', '')
  nodeModule.registerHooks({
    load: (url, context, next) => {
      if (!/\.m?ts$/.test(new URL(url).pathname)) return next(url, context)
      const path = fileURLToPath(url)
      return { format: 'module', source: stripTypes(readFileSync(path, 'utf8'), path), shortCircuit: true }
    },
  })
}
