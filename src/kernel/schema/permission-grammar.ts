/**
 * The grammar of permissions in manifests, roles and grants: what a schema cannot say, told with field, value and the nearest valid name.
 */
import { builtinModules, isBuiltin } from 'node:module'
import { shown } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { lengthFault } from '../../names.js'
import { didYouMean } from '../../nearest.js'
import { ACTIONS, KINDS, type Kind, partsOf } from '../../permission-set.js'
import { assertPattern } from '../../topic.js'
import { fieldPath, MAX_PROBLEMS, type Problem } from './schema-problems.js'

/** What the name of each kind is, with an example; null: it takes none. */
const NAMES: Record<Kind, { what: string; example: string } | null> = {
  bus: { what: 'a pattern of topics', example: 'user.*' },
  service: { what: 'the name of a service', example: 'users' },
  fs: { what: 'a path', example: './cache' },
  net: { what: 'a host, with or without a port', example: 'api.example.com:443' },
  env: { what: 'the name of a variable', example: 'APP_MODE' },
  builtin: { what: 'the name of a built-in module', example: 'dns' },
  child: null,
  worker: null,
  addons: null,
  tasks: null,
}

/** The longest resource, in characters: a path is the longest there is. */
const MAX_RESOURCE = 4_096

/**
 * So many actions on resources one list may allow: a plugin pays for each whenever it starts, and for what is alike there are patterns and
 * folders.
 */
export const MAX_ACTIONS = 1_000

const HOST = /^(?:\*|(?:(?:\*\.)?[\w-]+(?:\.[\w-]+)*|\[[\dA-Fa-f:.]+\])(?::\d{1,5})?)$/
const MAX_PORT = 65_535

/** The port at the end of what has the form of a host; 0 where none is. */
const portOf = (host: string): number => Number(/:(\d+)$/.exec(host)?.[1] ?? 0)

const SERVICE = /^(?:\*|[\w@][\w.\-/@:]*\*?)$/
const VARIABLE = /^(?:\*|\w+\*?)$/

const nameFault = (kind: Kind, name: string): string | undefined => {
  switch (kind) {
    case 'bus':
      try {
        assertPattern(name)
        return undefined
      } catch (error) {
        return PlugbayError.is(error) ? error.message.replace(/^The pattern '.*?' /, '') : undefined
      }
    case 'service':
      return SERVICE.test(name) ? undefined : "takes letters, digits and . _ - / @ :, with '*' at the end for the rest of the name"
    case 'fs':
      if (name.includes('\0')) return 'has a zero character in it'
      return name === '*' || !name.includes('*') ? undefined : "has a '*' in it. A folder stands for all in it; 'fs:*' is every file"
    case 'net':
      if (!HOST.test(name)) return "must be 'host', 'host:port', '*.host' or '*', without a scheme or a path"
      return portOf(name) > MAX_PORT ? `has a port above ${MAX_PORT}` : undefined
    case 'env':
      return VARIABLE.test(name) ? undefined : "takes letters, digits and '_', with '*' at the end for the rest of the name"
    case 'builtin': {
      const module = name.replace(/^node:/, '')
      return isBuiltin(`node:${module}`) ? undefined : `is no built-in module of this Node.js.${didYouMean(module, builtinModules)}`
    }
    default:
      return undefined
  }
}

const resourceFault = (resource: string): string | undefined => {
  if (resource.length > MAX_RESOURCE) return `has ${resource.length} characters, more than ${MAX_RESOURCE}`
  const [kind, name] = partsOf(resource)
  if (!Object.hasOwn(ACTIONS, kind))
    return `names the kind '${kind}', which there is not.${didYouMean(kind, KINDS)} There are: ${KINDS.join(', ')}`
  const wanted = NAMES[kind as Kind]
  if (wanted === null) return name === undefined ? undefined : `takes no name: write '${kind}'`
  if (name === undefined || name.trim() === '') return `needs ${wanted.what} after the colon, such as '${kind}:${wanted.example}'`
  const fault = nameFault(kind as Kind, name)
  return fault === undefined ? undefined : `'${name}' ${fault}`
}

const actionFault = (kind: Kind, action: string): string | undefined => {
  const long = lengthFault(action)
  if (long !== undefined) return long
  const known: readonly string[] = ACTIONS[kind]
  const [verb, method] = partsOf(action)
  if (method === undefined && (action === '*' || known.includes(action))) return undefined
  if (kind === 'service' && verb === 'call')
    return /^(?:\*|[^\s*]+\*?)$/.test(method ?? '') ? undefined : "needs one method after the colon, such as 'call:findById'"
  const methods = kind === 'service' ? ", 'call:<method>'" : ''
  return `is no action on '${kind}'.${didYouMean(action, known)} There are: ${known.map((each) => `'${each}'`).join(', ')}${methods} and '*'`
}

/** How many actions on resources a list of permissions allows. */
export const actionsIn = (list: readonly unknown[]): number =>
  list.reduce<number>((sum, entry) => {
    const { actions } = (entry ?? {}) as { actions?: unknown }
    return sum + (Array.isArray(actions) ? actions.length : 1)
  }, 0)

/** What is wrong with a list of permissions at that path. What has not even the shape of one is left to the schema. */
export const permissionProblems = (list: unknown, at: readonly (string | number)[]): Problem[] => {
  if (!Array.isArray(list)) return []
  const count = actionsIn(list)
  if (count > MAX_ACTIONS) {
    const mend = "Name a pattern ('bus:order.*'), a folder, or 'call' for what is alike."
    return [{ path: fieldPath(at), message: `must allow at most ${MAX_ACTIONS} actions, all its entries together, not ${count}. ${mend}` }]
  }
  const problems: Problem[] = []
  for (const [index, entry] of (list as unknown[]).entries()) {
    if (problems.length > MAX_PROBLEMS) break
    const { resource, actions } = (entry ?? {}) as { resource?: unknown; actions?: unknown }
    if (typeof resource !== 'string' || resource === '') continue
    const fault = resourceFault(resource)
    if (fault !== undefined)
      problems.push({ path: fieldPath([...at, index, 'resource']), value: resource, message: `${shown(resource)}: ${fault}` })
    const [kind] = partsOf(resource)
    if (!Object.hasOwn(ACTIONS, kind) || !Array.isArray(actions)) continue
    for (const [place, action] of (actions as unknown[]).entries()) {
      if (problems.length > MAX_PROBLEMS) break
      if (typeof action !== 'string' || action === '') continue
      const wrong = actionFault(kind as Kind, action)
      if (wrong !== undefined)
        problems.push({ path: fieldPath([...at, index, 'actions', place]), value: action, message: `${shown(action)} ${wrong}` })
    }
  }
  return problems
}

/** The names in a list of roles that there are not. */
export const roleProblems = (names: unknown, roles: Iterable<string>, at: readonly (string | number)[]): Problem[] => {
  const known = [...roles]
  const problems: Problem[] = []
  for (const [index, name] of Array.isArray(names) ? (names as unknown[]).entries() : []) {
    if (typeof name !== 'string' || name === '' || known.includes(name)) continue
    const mend =
      didYouMean(name, known) || (known.length > 0 ? ` There are: ${known.join(', ')}.` : " The kernel's options define none (roles).")
    problems.push({ path: fieldPath([...at, index]), value: name, message: `there is no role '${name}'.${mend}` })
  }
  return problems
}

/** The schema's problems and the grammar's: the grammar says more where both speak of one field. */
export const withGrammar = (problems: readonly Problem[], grammar: readonly Problem[]): Problem[] => {
  const said = new Set(grammar.map(({ path }) => path))
  return [...problems.filter(({ path }) => !said.has(path)), ...grammar]
}
