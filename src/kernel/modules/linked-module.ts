/** Which file is meant by the name of a package that is only linked, as in a workspace: who edits that edits what the plugin is made of. */
import { isBuiltin } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { realOf } from '../../sandbox/host/readable.js'
import { readTextFile } from '../../text-file.js'
import { upwardsFrom } from '../../within.js'
import { parseJson } from '../text/json-text.js'
import { packageOf } from './package-scope.js'

/** As Node asks for them at an import, and, where that finds none, at a `require`. */
const CONDITIONS = [
  ['node', 'import', 'module-sync', 'node-addons', 'default'],
  ['node', 'require', 'module-sync', 'node-addons', 'default'],
]

/** They lie in no package, or in one that is the kernel's own, wherever it is. */
const isNone = (name: string): boolean => isBuiltin(name) || /^#|^\w+:|^plugbay(?:\/|$)/.test(name)

/**
 * Its path by way of the link, though there be no such file; undefined for a package that lies in a `node_modules`, and one that is
 * nowhere.
 */
export const linkedModule = (name: string, from: string): string | undefined => {
  const folder = linkOf(name, from)
  const file = folder && fileIn(folder, `.${name.slice(packageOf(name).length)}`)
  return file && join(folder, file)
}

/** The link to the folder of the package that a name means, or that it is a part of. */
export const linkOf = (name: string, from: string): string | undefined => {
  if (isNone(name)) return undefined
  for (const at of upwardsFrom(dirname(from))) {
    const folder = join(at, 'node_modules', packageOf(name))
    const real = realOf(folder)
    if (real !== undefined) return real.split(sep).includes('node_modules') ? undefined : folder
  }
  return undefined
}

const fileIn = (folder: string, part: string): string | undefined => {
  const { exports, main } = saidIn(join(folder, 'package.json'))
  if (exports === undefined || exports === null) return part !== '.' ? part : typeof main === 'string' ? main : 'index.js'
  return exported(exports, part)
}

const saidIn = (file: string): { exports?: unknown; main?: unknown } => {
  try {
    const parsed = parseJson(readTextFile(file))
    return 'value' in parsed ? (parsed.value ?? {}) : {}
  } catch {
    return {}
  }
}

const exported = (exports: unknown, part: string): string | undefined => {
  const parts = Object.entries(isParts(exports) ? exports : { '.': exports })
  const [, exact] = parts.find(([each]) => each === part) ?? []
  if (exact !== undefined) return fileOf(exact)
  const fits = parts.flatMap(([each, target]) => {
    const [before = '', after] = each.split('*')
    const long = part.length >= each.length && part.startsWith(before)
    return after !== undefined && long && part.endsWith(after) ? [{ before, after, target }] : []
  })
  const [best] = fits.sort((a, b) => b.before.length - a.before.length)
  if (best === undefined) return undefined
  return fileOf(best.target)?.replaceAll('*', part.slice(best.before.length, part.length - best.after.length))
}

const isParts = (exports: unknown): exports is object =>
  typeof exports === 'object' && exports !== null && Object.keys(exports).some((key) => key.startsWith('.'))

const fileOf = (target: unknown): string | undefined => CONDITIONS.map((conditions) => chosen(target, conditions)).find((file) => file)

const chosen = (target: unknown, conditions: readonly string[]): string | undefined => {
  if (typeof target === 'string') return target
  if (typeof target !== 'object' || target === null) return undefined
  const offered = Array.isArray(target)
    ? target
    : Object.entries(target).flatMap(([name, each]) => (conditions.includes(name) ? [each] : []))
  for (const each of offered) {
    const file = chosen(each, conditions)
    if (file !== undefined) return file
  }
  return undefined
}
