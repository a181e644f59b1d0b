/** From what a plugin used to the least permissions that allow it: gathered, without what another of them allows. */
import { isBuiltin } from 'node:module'
import { dirname, relative, sep } from 'node:path'
import { Pace } from '../../pace.js'
import { covers } from '../../pattern-cover.js'
import { ACTIONS, KINDS, type Kind, type Permission, type PermissionSet, partsOf } from '../../permission-set.js'
import { BY_GRANT, CLOSED } from '../../sandbox/permissions/builtin-modules.js'
import { TEMPORARY } from '../../sandbox/permissions/temporary-folder.js'
import { enumerated } from '../../sentence.js'
import { readTextFile } from '../../text-file.js'
import { reasonOf } from '../../wire-error.js'
import { within } from '../../within.js'
import type { Isolation } from '../manifest/manifest.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { moduleGraph } from '../modules/module-graph.js'

/** Actions by resource, as the kernel met them. */
export type Used = ReadonlyMap<string, ReadonlySet<string>>

/** What was learnt of one plugin. */
export interface Learned {
  plugin: string
  /** Undefined for a plugin that has no plugin.json. */
  manifestPath: string | undefined
  /** The permissions in its manifest. */
  asked: readonly Permission[]
  /** The least that allow what it used, beside its roles. */
  least: readonly Permission[]
  /** What could not be learnt. */
  notes: readonly string[]
}

/** Different things of one plugin that are kept: who does more makes names up as it goes, which are gathered long before. */
export const MAX_USED = 10_000

/** Packages and files that a note names. */
const SHOWN = 20

/** Bytes of a file of its code that is looked into. */
const LARGEST = 1_048_576

/** More topics than this that differ in one segment alone become a pattern; more files than this in one folder, the folder. */
const MANY = 3

export interface Surroundings {
  root: string
  /** Whatever of it was used, it is named as a whole. */
  dataDir: string
  /** Paths below it are written relative to the plugin's folder. */
  base: string
  /** Permissions that stay whatever was used. */
  kept: readonly Permission[]
  /** What these and the plugin's roles allow already. */
  given: PermissionSet
}

const groupBy = (names: Iterable<string>, keyOf: (name: string) => string | undefined): Map<string, string[]> => {
  const groups = new Map<string, string[]>()
  for (const name of names) {
    const key = keyOf(name)
    if (key === undefined) continue
    const group = groups.get(key)
    if (group) group.push(name)
    else groups.set(key, [name])
  }
  return groups
}

/** `order.1.paid`, `order.2.paid`, … → `order.*.paid`. */
const gatherTopics = (topics: readonly string[]): string[] => {
  const gathered = new Set(topics)
  const longest = Math.max(0, ...topics.map((topic) => topic.split('.').length))
  for (let at = longest - 1; at >= 0; at--) {
    const groups = groupBy(gathered, (topic) => {
      const segments = topic.split('.')
      return at < segments.length ? segments.with(at, '*').join('.') : undefined
    })
    for (const [pattern, members] of groups) {
      if (members.length <= MANY) continue
      for (const member of members) gathered.delete(member)
      gathered.add(pattern)
    }
  }
  return [...gathered]
}

/** Without those that another one allows. */
const withoutCovered = (names: readonly string[], allows: (other: string, name: string) => boolean): string[] =>
  names.filter((name) => !names.some((other) => other !== name && allows(other, name)))

const gatherFiles = (paths: readonly string[], dataDir: string): string[] => {
  const named = paths.map((path) => (within(dataDir, path) ? dataDir : path))
  const folders = Array.from(groupBy(named, dirname)).filter(([, files]) => files.length > MANY)
  return withoutCovered([...new Set([...named, ...folders.map(([folder]) => folder)])], within)
}

/** Whatever lies in a folder whose name nobody chose, as the folder that this was made in: another time it is called something else. */
const withoutTemporary = (used: Used): Used => {
  const lasting = new Map<string, Set<string>>()
  for (const [resource, actions] of used) {
    const [kind, name = ''] = partsOf(resource)
    let path = name
    if (kind === 'fs')
      for (let at = name; at !== dirname(at); at = dirname(at)) if (used.get(`fs:${at}`)?.has(TEMPORARY)) path = dirname(at)
    const where = path === name ? resource : `fs:${path}`
    const there = lasting.get(where) ?? new Set()
    for (const action of actions) if (action !== TEMPORARY) there.add(action)
    lasting.set(where, there)
  }
  return lasting
}

/** A path as its manifest would have it. */
const written = (path: string, { root, dataDir, base }: Surroundings): string => {
  if (path === dataDir) return 'data'
  if (!within(base, path)) return path
  const way = relative(root, path).split(sep).join('/')
  return way.startsWith('../') ? way : `./${way}`
}

/** The names of one kind with one action, as few as will do. */
const fewest = (kind: Kind, action: string, names: readonly string[], where: Surroundings): string[] => {
  if (kind === 'bus') {
    const patterns = action === 'publish' ? gatherTopics(names) : names
    // One topic covers no other: of thousands, few have to be held against all.
    const wide = patterns.filter((pattern) => pattern.includes('*'))
    return patterns.filter((name) => !wide.some((other) => other !== name && covers([other], name)))
  }
  return kind === 'fs' ? gatherFiles(names, where.dataDir).map((path) => written(path, where)) : [...names]
}

/** That a service was asked for says nothing more once it is known what was called. */
const withoutBareCalls = (actions: ReadonlySet<string>): string[] => {
  const methods = [...actions].some((action) => action.startsWith('call:'))
  return [...actions].filter((action) => !methods || action !== 'call')
}

const rank = ({ resource }: Permission): number => KINDS.indexOf(partsOf(resource)[0] as Kind)

export const leastOf = (used: Used, where: Surroundings): Permission[] => {
  const namesOf = new Map<string, string[]>()
  for (const [resource, actions] of withoutTemporary(used)) {
    const [kind, name = ''] = partsOf(resource)
    for (const action of withoutBareCalls(actions)) {
      // Of a service that it found and did not call, any method is enough.
      if (where.given.has(resource, action) || (action === 'call' && where.given.mayUse(name))) continue
      const key = `${kind} ${action}`
      const names = namesOf.get(key)
      if (names) names.push(name)
      else namesOf.set(key, [name])
    }
  }
  const actionsOf = new Map(where.kept.map(({ resource, actions }) => [resource, [...actions]]))
  for (const [key, names] of namesOf) {
    const [kind = '', action = ''] = key.split(' ')
    for (const name of fewest(kind as Kind, action, names, where)) {
      const resource = name === '' ? kind : `${kind}:${name}`
      actionsOf.set(resource, [...(actionsOf.get(resource) ?? []), action])
    }
  }
  const order: readonly string[] = Object.values(ACTIONS).flat()
  const inOrder = (actions: readonly string[]): string[] =>
    actions.toSorted((a, b) => order.indexOf(partsOf(a)[0]) - order.indexOf(partsOf(b)[0]) || (a < b ? -1 : 1))
  return Array.from(actionsOf, ([resource, actions]): Permission => ({ resource, actions: inOrder(actions) })).sort(
    (a, b) => rank(a) - rank(b) || (a.resource < b.resource ? -1 : 1),
  )
}

const inlineNote = (unseen: ReadonlySet<Kind>): string => {
  const kept = [...(unseen.has('fs') ? ['files'] : []), ...(unseen.has('net') ? ['hosts'] : [])].join(' and ')
  return (
    "It runs inline, in the application's own thread: which files and hosts it reaches there by modules of Node is not learnt." +
    (kept === '' ? '' : ` It imports such: what its manifest says of ${kept} is kept, and yours to complete.`)
  )
}

/** What a package that the plugin uses may reach, and nobody sees. */
const OUT_OF_SIGHT: readonly Kind[] = ['fs', 'net', 'env', 'builtin', 'child', 'worker']

/** Nothing of what cannot be read, or is too long: that is told in `unread`. */
const codeOf = (file: string, unread: string[]): string => {
  try {
    return readTextFile(file, LARGEST)
  } catch (error) {
    unread.push(`${file}: ${reasonOf(error)}`)
    return ''
  }
}

/**
 * What the code of the plugin and its tasks names: built-in modules that it imports, and variables of the environment. `unseen`: the kinds
 * of which it may use more than anybody can tell. `importsFiles`: where that takes a permission for files, whichever they are.
 */
export const usedByCode = async (
  { entry, root, tasks }: PluginSource,
  /** Inline nobody sees which files and hosts it reaches by modules of Node: it shares the application's. */
  isolation: Isolation,
  /** Modules of Node that it imported as it ran, whatever its code says. */
  imported: readonly string[],
): Promise<{ used: Map<string, Set<string>>; notes: string[]; unseen: Set<Kind>; importsFiles: boolean }> => {
  const inline = isolation === 'inline'
  const gated = isolation === 'thread' || (!inline && Object.keys(tasks).length > 0)
  const entries = [entry, ...Object.values(tasks).map(({ file }) => file)]
  const graphs = await Promise.all(entries.map((file) => moduleGraph(file, root, { linked: false })))
  const bare = new Set([...graphs.flatMap((graph) => graph.bare), ...imported.map((name) => `node:${name}`)])
  const used = new Map<string, Set<string>>()
  const notes: string[] = []
  const unseen = new Set<Kind>(['addons'])
  let importsFiles = false
  for (const module of [...bare].filter((name) => isBuiltin(name)).map((name) => name.replace(/^node:/, ''))) {
    if (CLOSED.includes(module)) used.set(`builtin:${module}`, new Set(['import']))
    else if (BY_GRANT.child.includes(module)) used.set('child', new Set(['use']))
    else if (BY_GRANT.worker.includes(module)) used.set('worker', new Set(['use']))
    else if (BY_GRANT.fs.includes(module)) {
      importsFiles = gated
      if (inline) unseen.add('fs')
    } else if (BY_GRANT.net.includes(module) && inline) unseen.add('net')
  }
  if (inline) notes.push(inlineNote(unseen))
  else if (used.has('builtin:sqlite')) {
    unseen.add('fs')
    notes.push(
      'It imports node:sqlite: the files of its databases are not learnt. What its manifest says of files is kept, and yours to complete.',
    )
  }
  const packages = [...bare].filter((name) => !isBuiltin(name) && !/^plugbay(?:\/|$)/.test(name))
  if (packages.length > 0) {
    for (const kind of OUT_OF_SIGHT) if (inline || (kind !== 'net' && kind !== 'fs')) unseen.add(kind)
    notes.push(
      `It uses packages (${enumerated(packages.slice(0, SHOWN), packages.length)}): what they reach by modules of Node${inline ? '' : ', files and hosts aside,'} is not learnt. What its manifest says of that is kept.`,
    )
  }
  const pace = new Pace()
  const unread: string[] = []
  for (const file of new Set(graphs.flatMap(({ files }) => files))) {
    if (pace.due) await pace.rest()
    // In a process not every Node shows what is imported as it is.
    if (isolation === 'process' && !within(root, file)) used.set(`fs:${file}`, new Set(['read']))
    for (const [, name] of codeOf(file, unread).matchAll(/\bprocess\.env(?:\.|\[['"])(\w+)/g)) {
      if (used.size >= MAX_USED) break
      used.set(`env:${name}`, new Set(['read']))
    }
  }
  if (unread.length > 0)
    notes.push(
      `It has code that is not looked into (${enumerated(unread.slice(0, SHOWN), unread.length, '; ')}): variables that are named there are learnt as they are read alone.`,
    )
  return { used, notes, unseen, importsFiles }
}
