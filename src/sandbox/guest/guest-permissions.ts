/** A plugin's own copy of what it may do: refuses before anything is sent, and lets the kernel know. The kernel decides by itself. */
import { argumentInvalid, assertText } from '../../arguments.js'
import { Denials } from '../../denials.js'
import type { PlugbayError } from '../../errors.js'
import { ACTIONS, type Granted, KINDS, type Kind, PermissionSet, partsOf, permissionDenied } from '../../permission-set.js'
import type { Conversation } from '../rpc.js'

export class GuestPermissions {
  readonly #plugin: string
  readonly #set: PermissionSet
  readonly #denials: Denials
  readonly #tellUsed: ((resource: string, action: string) => void) | undefined

  constructor(conversation: Conversation, plugin: string, granted: Granted) {
    this.#plugin = plugin
    this.#set = new PermissionSet(granted)
    this.#denials = new Denials((resource, action, unsaid) => conversation.notify('denied', [resource, action, unsaid + 1]))
    this.#tellUsed = granted.learning ? (resource, action) => conversation.notify('used', [resource, action]) : undefined
  }

  /** Throws OPTIONS_INVALID for what is no resource, or no action on it. */
  has(resource: string, action: string): boolean {
    assertAsked(resource, action)
    return this.#set.has(resource, action)
  }

  #denied(resource: string, action: string): PlugbayError {
    this.#denials.add(resource, action)
    return permissionDenied(this.#plugin, resource, action)
  }

  /** Throws PERMISSION_DENIED. */
  assertPublish(topic: string): void {
    if (!this.#set.mayPublish(topic)) throw this.#denied(`bus:${topic}`, 'publish')
  }

  /** Throws PERMISSION_DENIED. */
  assertSubscribe(pattern: string): void {
    if (!this.#set.maySubscribe(pattern)) throw this.#denied(`bus:${pattern}`, 'subscribe')
  }

  /** While permissions are learnt: takes each method of the service that is called, and tells the kernel of it once. */
  recordCalls(service: string): ((method: string) => void) | undefined {
    const tell = this.#tellUsed
    if (tell === undefined) return undefined
    const told = new Set<string>()
    return (method) => {
      if (told.has(method)) return
      told.add(method)
      tell(`service:${service}`, `call:${method}`)
    }
  }

  /** The methods of a service that the plugin may not call, with what each call is answered. */
  deniedMethods(service: string, methods: readonly string[]): ReadonlyMap<string, () => PlugbayError> {
    const denied = methods.filter((method) => !this.#set.mayCall(service, method))
    return new Map(denied.map((method) => [method, () => this.#denied(`service:${service}`, `call:${method}`)]))
  }
}

const assertAsked = (resource: unknown, action: unknown): void => {
  assertText(resource, 'permissions.has()', 'the resource')
  assertText(action, 'permissions.has()', 'the action')
  const call = `permissions.has('${resource}', '${action}')`
  const [kind] = partsOf(resource)
  if (!Object.hasOwn(ACTIONS, kind))
    throw argumentInvalid(call, `asks for '${kind}', which is no kind of resource. There are: ${KINDS.join(', ')}.`)
  const known: readonly string[] = ACTIONS[kind as Kind]
  if (action === '*' || known.includes(action) || (kind === 'service' && action.startsWith('call:'))) return
  throw argumentInvalid(call, `asks for '${action}', which is no action on '${kind}'. There are: ${[...known, '*'].join(', ')}.`)
}
