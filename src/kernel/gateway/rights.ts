/** What one generation may do, and what is told of it: each denial, at a bearable rate, and each use while permissions are learnt. */
import { Denials } from '../../denials.js'
import type { PlugbayError } from '../../errors.js'
import { type PermissionSet, permissionDenied } from '../../permission-set.js'
import { entryThatOpens } from '../../sandbox/permissions/builtin-modules.js'

/** Longer names of resources and actions are no guest's of ours. */
const MAX_TOLD = 4_096

export interface RightsOptions {
  plugin: string
  permissions: PermissionSet
  /** The plugin did what it may not. Told at a bearable rate. */
  denied(error: PlugbayError): void
  /** While permissions are learnt: takes what the plugin did by one. */
  used?: ((resource: string, action: string) => void) | undefined
}

export class Rights {
  readonly permissions: PermissionSet
  readonly #plugin: string
  readonly #denials: Denials
  readonly #used: RightsOptions['used']

  constructor({ plugin, permissions, denied, used }: RightsOptions) {
    this.permissions = permissions
    this.#plugin = plugin
    this.#denials = new Denials((resource, action, unsaid) =>
      denied(permissionDenied(plugin, resource, action, entryThatOpens(resource, action), unsaid)),
    )
    this.#used = used
  }

  /** It was not let. */
  deny(resource: string, action: string): void {
    this.#denials.add(resource, action)
  }

  /** The same, with the error for who asked. */
  denied(resource: string, action: string): PlugbayError {
    this.deny(resource, action)
    return permissionDenied(this.#plugin, resource, action)
  }

  /** Throws PERMISSION_DENIED for what it may not. */
  assert(resource: string, action: string): void {
    if (!this.permissions.has(resource, action)) throw this.denied(resource, action)
  }

  /** It was let. */
  use(resource: string, action: string): void {
    this.#used?.(resource, action)
  }

  /** What a guest of the plugin says that it refused; what it may do was not refused. */
  deniedThere(resource: string, action: string, times: number): void {
    if (resource.length > MAX_TOLD || action.length > MAX_TOLD || !(times > 0) || this.permissions.has(resource, action)) return
    this.#denials.add(resource, action, times)
  }

  /** What the guest says that its plugin used, as far as it could. */
  usedThere(resource: string, action: string): void {
    if (resource.length > MAX_TOLD || action.length > MAX_TOLD || !this.permissions.has(resource, action)) return
    this.#used?.(resource, action)
  }
}
