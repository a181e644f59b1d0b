/** The module hooks of a plugin on Node 20: they run in a thread of their own, which `module.register` makes. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { stripTypes } from '../strip-types.js'
import { type CheckImport, importCheck } from './builtin-modules.js'
import { denyFor } from './denial.js'

interface Resolved {
  url: string
  format?: string
  shortCircuit?: boolean
}

interface Loaded {
  format: string
  source: string
  shortCircuit: boolean
}

interface HookData {
  pluginModule: string
  /** Of a plugin whose imports of built-in modules are checked. */
  gate?: { plugin: string; importable: string[] } | undefined
}

let pluginModule = ''
let check: CheckImport = () => {}

export const initialize = (data: HookData): void => {
  pluginModule = data.pluginModule
  if (data.gate) check = importCheck(data.gate.importable, denyFor(data.gate.plugin))
}

export const resolve = async (
  specifier: string,
  context: object,
  next: (specifier: string, context: object) => Promise<Resolved>,
): Promise<Resolved> => {
  if (specifier === 'plugbay/plugin') return { url: pluginModule, format: 'module', shortCircuit: true }
  check(specifier)
  const resolved = await next(specifier, context)
  check(resolved.url)
  return resolved
}

export const load = async (url: string, context: object, next: (url: string, context: object) => Promise<Loaded>): Promise<Loaded> => {
  if (!/\.m?ts$/.test(new URL(url).pathname)) return next(url, context)
  const path = fileURLToPath(url)
  return { format: 'module', source: stripTypes(await readFile(path, 'utf8'), path), shortCircuit: true }
}
