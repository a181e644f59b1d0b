/** What plugins use while their permissions are recorded instead of enforced, and the least permissions that follow from it. */
import { join } from 'node:path'
import { type Kind, type Permission, PermissionSet, partsOf } from '../../permission-set.js'
import { BY_GRANT, CLOSED } from '../../sandbox/permissions/builtin-modules.js'
import { TEMPORARY } from '../../sandbox/permissions/temporary-folder.js'
import { placementOf } from '../manifest/isolation.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { ResolvedOptions } from '../options/options.js'
import { actionsIn, MAX_ACTIONS } from '../schema/permission-grammar.js'
import { type Learned, leastOf, MAX_USED, type Used, usedByCode } from './least-permissions.js'
import { permissionsBy } from './permissions.js'

/** Everything that a permission can open. */
const OPEN: readonly Permission[] = [
  { resource: 'bus:**', actions: ['publish', 'subscribe'] },
  { resource: 'service:*', actions: ['provide', 'call'] },
  // The last is no permission that one could ask for: by it temporary folders are told, and nothing is that is not allowed.
  { resource: 'fs:*', actions: ['read', 'write', TEMPORARY] },
  { resource: 'net:*', actions: ['connect', 'listen'] },
  { resource: 'env:*', actions: ['read'] },
  ...[...CLOSED, ...Object.values(BY_GRANT).flat()].map((name) => ({ resource: `builtin:${name}`, actions: ['import'] })),
  { resource: 'child', actions: ['use'] },
  { resource: 'worker', actions: ['use'] },
  { resource: 'addons', actions: ['use'] },
  { resource: 'tasks', actions: ['use'] },
]

export class Learning {
  readonly #options: ResolvedOptions
  readonly #used = new Map<string, Map<string, Set<string>>>()
  /** Those that came to run, as they last did. */
  readonly #ran = new Map<string, PluginSource>()

  constructor(options: ResolvedOptions) {
    this.#options = options
  }

  /** Whether nothing but itself says what the plugin may do: what the operator grants holds as ever. */
  #teaches(plugin: string): boolean {
    return !Object.hasOwn(this.#options.grants, plugin)
  }

  /** All there is; undefined where the operator's grants hold. */
  permissionsOf({ name, root }: PluginSource): PermissionSet | undefined {
    if (!this.#teaches(name)) return undefined
    return new PermissionSet({ root, dataDir: join(this.#options.dataDir, name), permissions: OPEN, learning: true })
  }

  /** Takes what the plugin uses; undefined where the operator's grants hold. */
  recorderFor(plugin: string): ((resource: string, action: string) => void) | undefined {
    if (!this.#teaches(plugin)) return undefined
    const used = this.#used.get(plugin) ?? new Map<string, Set<string>>()
    this.#used.set(plugin, used)
    return (resource, action) => {
      const actions = used.get(resource)
      if (actions) actions.add(action)
      else if (used.size < MAX_USED) used.set(resource, new Set([action]))
    }
  }

  /** The plugin runs: what it used until now was enough for it to start. */
  ran(source: PluginSource): void {
    this.#ran.set(source.name, source)
  }

  /** What was learnt of each plugin that came to run, by name. */
  async learned(): Promise<Learned[]> {
    const sources = [...this.#ran.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    return Promise.all(sources.map((source) => this.#learnedOf(source)))
  }

  async #learnedOf(source: PluginSource): Promise<Learned> {
    const { name: plugin, manifestPath, manifest } = source
    const asked = manifest.permissions ?? []
    const told = { plugin, manifestPath, asked }
    if (!this.#teaches(plugin)) return { ...told, least: asked, notes: ["The operator's grants hold for it: nothing was learnt."] }
    const { isolation } = placementOf(source, this.#options)
    const [imported, seen] = withoutModules(this.#used.get(plugin) ?? new Map<string, Set<string>>())
    const code = await usedByCode(source, isolation, imported)
    const used = new Map(seen)
    for (const [resource, actions] of code.used) used.set(resource, new Set([...(seen.get(resource) ?? []), ...actions]))
    const idle = FREE_KINDS.filter((kind) => ![...used.keys()].some((resource) => resource.startsWith(`${kind}:`)))
    const kept = asked.filter(({ resource }) => {
      const [kind] = partsOf(resource)
      // What cannot be seen is not known to be unused; and the last word on a kind that is free without one is not taken away.
      return code.unseen.has(kind as Kind) || idle.some((each) => each === kind)
    })
    kept.push(...uncalled(asked, used))
    const reachesNone = code.importsFiles && ![...used.keys()].some((resource) => resource.startsWith('fs:'))
    if (reachesNone && !opensFiles(permissionsBy(source, kept, this.#options))) kept.push(OWN_FOLDER)
    const given = permissionsBy(source, kept, this.#options)
    const dataDir = join(this.#options.dataDir, plugin)
    const least = leastOf(used, { root: source.root, dataDir, base: this.#options.base, kept, given })
    const notes = idle.flatMap((kind) => noteOn(kind, given, kept))
    if (actionsIn(least) > MAX_ACTIONS) notes.push(TOO_MANY)
    return { ...told, least, notes: [...code.notes, ...(least.length > 0 ? notes : [])] }
  }
}

const TOO_MANY = `They are more than the ${MAX_ACTIONS} actions that a manifest may allow: gather them by patterns and folders before you write them.`

/** The least that opens `node:fs` to one that reads nothing by it but its own folder. */
const OWN_FOLDER: Permission = { resource: 'fs:.', actions: ['read'] }

const opensFiles = (given: PermissionSet): boolean => given.names('fs', 'read').length > 0 || given.names('fs', 'write').length > 0

/** What was used, and apart from it the modules of Node that were imported: which permission opens one, the judge of the code knows. */
const withoutModules = (used: Used): [modules: string[], rest: Used] => {
  const [modules, rest] = [[] as string[], new Map(used)]
  for (const resource of used.keys()) {
    const [kind, name = ''] = partsOf(resource)
    if (kind === 'builtin' && rest.delete(resource)) modules.push(name)
  }
  return [modules, rest]
}

/** What the manifest says of calls to services that the plugin found and did not call: which methods it would have called is not known. */
const uncalled = (asked: readonly Permission[], used: Used): Permission[] => {
  const services = [...used].filter(([, actions]) => actions.has('call') && ![...actions].some((action) => action.startsWith('call:')))
  return asked.flatMap(({ resource, actions }) => {
    const calls = { resource, actions: actions.filter((action) => partsOf(action)[0] === 'call') }
    const set = new PermissionSet({ root: '', dataDir: '', permissions: [calls] })
    return services.some(([service]) => set.mayUse(partsOf(service)[1] ?? '')) ? [calls] : []
  })
}

/** Free to a plugin that names nothing of their kind. */
const FREE_KINDS = ['bus', 'service'] as const

const UNUSED = { bus: 'It used nothing on the bus', service: 'It used no service' }

const noteOn = (kind: (typeof FREE_KINDS)[number], given: PermissionSet, kept: readonly Permission[]): string[] => {
  const names = ({ resource }: Permission): boolean => resource.startsWith(`${kind}:`)
  if (kept.some(names)) return [`${UNUSED[kind]}: what its manifest says of that is kept, as without it all would be free.`]
  return given.granted.permissions.some(names) ? [] : [`${UNUSED[kind]}: all is free to it there, as its manifest names nothing.`]
}
