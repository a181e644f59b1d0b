/**
 * What plugins may not give themselves: where one may write a manifest, what that asks for beyond what there is waits for the operator.
 * Made where files are watched.
 */
import { join } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { real } from '../../sandbox/host/readable.js'
import { enumerated } from '../../sentence.js'
import { within } from '../../within.js'
import { placementOf } from '../manifest/isolation.js'
import type { Isolation } from '../manifest/manifest.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { type EffectiveRestart, effectiveLimits, effectiveRestart, type ResolvedOptions } from '../options/options.js'
import type { PluginPermissions } from '../permissions/plugin-permissions.js'
import type { PluginInstance } from '../supervision/plugin-instance.js'

/** How strongly each holds its plugin. */
const STRENGTH: Record<Isolation, number> = { inline: 0, thread: 1, process: 2, grpc: 2 }

/** How readily each restarts. */
const READINESS: Record<EffectiveRestart['policy'], number> = { temporary: 0, transient: 1, permanent: 2 }

/** How a plugin is demoted that is not. */
const NEVER = { after: Number.POSITIVE_INFINITY, within: 0 }

/** So many of its demands a message names. */
const NAMED = 5

export class ManifestGuard {
  readonly #options: ResolvedOptions
  readonly #permissions: PluginPermissions
  readonly #instances: ReadonlyMap<string, PluginInstance>
  /** All plugins there were, as they were last: what one wrote is there after it has gone. */
  readonly #known = new Map<string, PluginSource>()

  constructor(options: ResolvedOptions, permissions: PluginPermissions, instances: ReadonlyMap<string, PluginInstance>) {
    this.#options = options
    this.#permissions = permissions
    this.#instances = instances
  }

  /**
   * Throws PERMISSION_DENIED for what the files of a plugin make of it, or of one that is new, where they ask for more than there was and a
   * plugin may have written that.
   */
  assertMayBecome(source: PluginSource, instance?: PluginInstance): void {
    for (const each of this.#instances.values()) this.#known.set(each.name, each.source)
    for (const writer of this.#known.values()) {
      if (!this.#mayWrite(writer, source) && !(instance && this.#mayWrite(writer, instance.source))) continue
      const more = this.#moreThan(instance?.source ?? writer, source, instance !== undefined)
      if (more.length > 0) throw denied(source, instance, writer.name, more)
    }
  }

  /** Whether the plugin may write, or put in its place, the manifest of that one. */
  #mayWrite(writer: PluginSource, { path, root, manifestPath }: PluginSource): boolean {
    const permissions = this.#permissions.of(writer)
    const { learning, dataDir } = permissions.granted
    // Nobody is held to anything then.
    if (learning) return false
    const files = [path, root].map((folder) => join(folder, 'plugin.json'))
    if (manifestPath !== undefined) files.push(manifestPath)
    return [...permissions.names('fs', 'write'), dataDir].some(
      (granted) => granted === '*' || files.some((file) => within(granted, file) || within(real(granted), file)),
    )
  }

  /** What `next` is to have that `base` has not, in the words of a manifest. */
  #moreThan(base: PluginSource, next: PluginSource, same: boolean): string[] {
    const options = this.#options
    const before = this.#permissions.of(base)
    const [was, is] = [base, next].map((source) => placementOf(source, options).isolation) as [Isolation, Isolation]
    const [had, has] = [base, next].map(({ manifest }) => effectiveLimits(manifest, options)) as [Limits, Limits]
    const asked = this.#permissions.of(next).granted.permissions.flatMap(({ resource, actions }) =>
      // A thread is in the kernel's process, as tasks are.
      resource === 'tasks' && STRENGTH[was] <= STRENGTH.thread
        ? []
        : actions.filter((action) => !before.has(resource, action)).map((action) => `'${action}' on ${resource}`),
    )
    return [
      // What an operator grants is granted by name.
      ...(same && next.name !== base.name ? [`the name '${next.name}'`] : []),
      ...(STRENGTH[is] < STRENGTH[was] ? [`isolation '${is}' instead of '${was}'`] : []),
      ...asked,
      ...(Object.keys(has) as (keyof Limits)[])
        .filter((limit) => has[limit] > had[limit])
        .map((limit) => `limits.${limit} ${has[limit]} instead of ${had[limit]}`),
      ...laxerRestarts(effectiveRestart(base.manifest, options.defaults), effectiveRestart(next.manifest, options.defaults)),
    ]
  }
}

type Limits = ReturnType<typeof effectiveLimits>

/** Where the policy forgives more than that before it. How soon a restart comes is no matter: the kernel has a pace for that. */
const laxerRestarts = (had: EffectiveRestart, has: EffectiveRestart): string[] => {
  const than = (field: string, is: string | number, was: string | number): string => `restart.${field} ${is} instead of ${was}`
  const [was, is] = [had.demote ?? NEVER, has.demote ?? NEVER]
  return [
    ...(READINESS[has.policy] > READINESS[had.policy] ? [than('policy', `'${has.policy}'`, `'${had.policy}'`)] : []),
    ...(has.max > had.max ? [than('max', has.max, had.max)] : []),
    ...(has.within < had.within ? [than('within', has.within, had.within)] : []),
    ...(is.after > was.after || is.within < was.within ? ['a restart.demote that comes later, or never'] : []),
  ]
}

const denied = (source: PluginSource, instance: PluginInstance | undefined, writer: string, more: readonly string[]): PlugbayError => {
  const { path, manifestPath: file = path } = source
  const plugin = instance?.name ?? source.name
  const list = enumerated(more.slice(0, NAMED), more.length)
  const who = writer === plugin ? 'the plugin itself may write that file' : `plugin '${writer}' may write that file`
  const message = instance
    ? `What ${file} asks for was not given to plugin '${plugin}': it is more than it has (${list}), and ${who}. ` +
      `Read it; if it is meant, call kernel.reload('${plugin}') or start the kernel anew. A plugin that may not write its own folder is given what its manifest asks for at once.`
    : `Plugin '${plugin}' at ${path} was not loaded by itself: it is to have more than plugin '${writer}' (${list}), which may write there. Read it; if it is meant, call kernel.load('${path}').`
  return new PlugbayError('PERMISSION_DENIED', message, { plugin, details: { file, writer, more: [...more] } })
}
