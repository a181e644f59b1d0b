/**
 * What each plugin of one kernel may do: decided once for each as it was read, since neither its manifest nor the kernel's options change
 * then.
 */
import type { PermissionSet } from '../../permission-set.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { ResolvedOptions } from '../options/options.js'
import type { Learning } from './learning.js'
import { permissionsOf } from './permissions.js'

export class PluginPermissions {
  readonly #options: ResolvedOptions
  readonly #learning: Learning | undefined
  readonly #decided = new WeakMap<PluginSource, PermissionSet>()

  constructor(options: ResolvedOptions, learning?: Learning) {
    this.#options = options
    this.#learning = learning
  }

  /** Where permissions are learnt, all there is. */
  of(source: PluginSource): PermissionSet {
    const known = this.#decided.get(source)
    if (known) return known
    const decided = this.#learning?.permissionsOf(source) ?? permissionsOf(source, this.#options)
    this.#decided.set(source, decided)
    return decided
  }

  /** Whether the plugin may have that, which the kernel reads for it before it runs. Where permissions are learnt, it has used it. */
  use(source: PluginSource, resource: string, action: string): boolean {
    if (!this.of(source).has(resource, action)) return false
    this.#learning?.recorderFor(source.name)?.(resource, action)
    return true
  }
}
