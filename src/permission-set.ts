/**
 * What one plugin may do, and the decisions that follow from it. Kernel and guest hold the same set: the guest refuses early, the kernel
 * decides.
 */
import { resolve } from 'node:path'
import { PlugbayError } from './errors.js'
import { reaches } from './hosts.js'
import { PatternCover } from './pattern-cover.js'
import { isPattern } from './topic.js'
import { within } from './within.js'

/** Actions that are allowed on a resource, `kind:name` or `kind`. */
export interface Permission {
  resource: string
  actions: string[]
}

/** All that a plugin may do, as plain data. Nothing else is allowed: what is free by default is named too. */
export interface Granted {
  /** The plugin's folder: relative paths are relative to it. */
  root: string
  dataDir: string
  /** Paths in it are absolute, actions are spelt out. */
  permissions: readonly Permission[]
  /** It is recorded, not enforced, what the plugin may do: the guest tells the kernel what the kernel does not see. */
  learning?: boolean
}

/** What can be acted on, and how. An action on a service may name a method: `call:findById`. */
export const ACTIONS = {
  bus: ['publish', 'subscribe'],
  service: ['provide', 'call'],
  fs: ['read', 'write'],
  net: ['connect', 'listen'],
  env: ['read'],
  builtin: ['import'],
  child: ['use'],
  worker: ['use'],
  addons: ['use'],
  tasks: ['use'],
} as const

export type Kind = keyof typeof ACTIONS

export const KINDS = Object.keys(ACTIONS) as Kind[]

/** Kind and name of a resource: `fs` and `./data` of `fs:./data`. */
export const partsOf = (resource: string): [kind: string, name: string | undefined] => {
  const colon = resource.indexOf(':')
  return colon < 0 ? [resource, undefined] : [resource.slice(0, colon), resource.slice(colon + 1)]
}

const act = (resource: string, action: string): string => {
  const [kind, name = ''] = partsOf(resource)
  const [verb, method] = partsOf(action)
  switch (kind) {
    case 'bus':
      return verb === 'subscribe' ? `subscribe to '${name}'` : `publish '${name}'`
    case 'service':
      if (verb === 'provide') return `provide the service '${name}'`
      return method === undefined ? `use the service '${name}'` : `call '${method}' of the service '${name}'`
    case 'fs':
      return `${action} '${name}'`
    case 'net':
      return `${action === 'listen' ? 'listen on' : 'connect to'} '${name}'`
    case 'builtin':
      return `${action} 'node:${name}'`
    case 'tasks':
      return "run its tasks, which would run outside of its process, in the kernel's"
    default:
      return `${action} '${resource}'`
  }
}

/** An entry of a manifest's `permissions`, as it is written there. */
export const entryFor = (resource: string, action: string): string =>
  `{ "resource": ${JSON.stringify(resource)}, "actions": [${JSON.stringify(action)}] }`

/** What a message that something is denied ends with. */
export const toAllow = (entry: string): string =>
  `To allow it, add ${entry} to the permissions in its plugin.json, or to its grants where the kernel's options have some.`

/** PERMISSION_DENIED: `entry` is what allows it, `unsaid` further denials were not told on their own. */
export const permissionDenied = (
  plugin: string,
  resource: string,
  action: string,
  entry = entryFor(resource, action),
  unsaid = 0,
): PlugbayError =>
  new PlugbayError(
    'PERMISSION_DENIED',
    (Object.hasOwn(ACTIONS, partsOf(resource)[0])
      ? `Plugin '${plugin}' may not ${act(resource, action)}: it has no permission for that. ${toAllow(entry)}`
      : `Plugin '${plugin}' may not ${resource}: no permission allows that in a thread.`) +
      (unsaid > 0 ? ` ${unsaid} further denials were not told on their own.` : ''),
    { plugin, details: { resource, action, ...(unsaid > 0 ? { unsaid } : {}) } },
  )

/** The path that the name of an `fs` resource stands for: `data` is the plugin's data folder, `*` all files. */
export const pathOf = (name: string, root: string, dataDir: string): string =>
  name === '*' ? '*' : name === 'data' ? dataDir : resolve(root, name)

/** A `*` at the end stands for the rest of a name. */
const fits = (pattern: string, name: string): boolean =>
  pattern === name || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)))

/** Decisions about so many topics are remembered. */
const REMEMBERED = 1_024

/** Methods of a service: by their names, and by what stands before a `*`. */
interface Callable {
  names: ReadonlySet<string>
  beginnings: readonly string[]
}

export class PermissionSet {
  readonly granted: Granted
  readonly #names = new Map<string, string[]>()
  readonly #publishesAll: boolean
  readonly #topics = new Map<string, boolean>()
  /** Of events, by action: made when it is first asked. */
  readonly #covers = new Map<string, PatternCover>()
  readonly #methods: { service: string; method: string }[] = []
  readonly #callable = new Map<string, Callable>()

  constructor(granted: Granted) {
    this.granted = granted
    for (const { resource, actions } of granted.permissions) {
      const [kind, name = ''] = partsOf(resource)
      for (const action of actions) {
        const key = `${kind} ${action}`
        const [verb, method] = partsOf(action)
        const names = this.#names.get(key)
        if (kind === 'service' && verb === 'call') this.#methods.push({ service: name, method: method ?? '*' })
        else if (names === undefined) this.#names.set(key, [name])
        else names.push(name)
      }
    }
    this.#publishesAll = this.names('bus', 'publish').includes('**')
  }

  /** The names of that kind on which the action is allowed, as they are granted. */
  names(kind: Kind, action: string): readonly string[] {
    return this.#names.get(`${kind} ${action}`) ?? []
  }

  /**
   * Whether the action is allowed on all that the resource names, in the words of the manifest: `has('bus:user.*', 'subscribe')`,
   * `has('service:users', 'call:findById')`, `has('fs:./cache', 'write')`, `has('child', 'use')`. False for what is no resource or action.
   */
  has(resource: string, action: string): boolean {
    const [kind, name = ''] = partsOf(resource)
    if (!Object.hasOwn(ACTIONS, kind)) return false
    if (action === '*') return ACTIONS[kind as Kind].every((each) => this.has(resource, each))
    const names = this.names(kind as Kind, action)
    switch (kind as Kind) {
      case 'bus':
        return names.length > 0 && isPattern(name) && this.#coverOf(action).covers(name)
      case 'service': {
        const [verb, method = '*'] = partsOf(action)
        return verb === 'call' ? this.mayCall(name, method) : names.some((each) => fits(each, name))
      }
      case 'fs': {
        const { root, dataDir } = this.granted
        const path = pathOf(name, root, dataDir)
        // Its own folder is open to read without a permission.
        return [...names, ...(action === 'read' ? [root] : [])].some((folder) => folder === '*' || within(folder, path))
      }
      case 'net':
        // Who is granted the whole network may listen too.
        return [...names, ...this.names('net', 'connect').filter((each) => each === '*')].some((each) => reaches(each, name))
      case 'builtin':
        return names.includes(name.replace(/^node:/, ''))
      default:
        return names.some((each) => fits(each, name))
    }
  }

  #coverOf(action: string): PatternCover {
    let cover = this.#covers.get(action)
    if (cover === undefined) this.#covers.set(action, (cover = new PatternCover(this.names('bus', action))))
    return cover
  }

  mayPublish(topic: string): boolean {
    if (this.#publishesAll) return true
    const known = this.#topics.get(topic)
    if (known !== undefined) return known
    const allowed = this.#coverOf('publish').covers(topic)
    if (this.#topics.size >= REMEMBERED) this.#topics.clear()
    this.#topics.set(topic, allowed)
    return allowed
  }

  /** Whether every topic that the pattern, a valid one, can match is allowed. */
  maySubscribe(pattern: string): boolean {
    return this.#coverOf('subscribe').covers(pattern)
  }

  mayProvide(service: string): boolean {
    return this.has(`service:${service}`, 'provide')
  }

  /** Whether any method of the service may be called. */
  mayUse(service: string): boolean {
    return this.#methods.some((each) => fits(each.service, service))
  }

  mayCall(service: string, method: string): boolean {
    const { names, beginnings } = this.#callableOf(service)
    return names.has(method) || beginnings.some((beginning) => method.startsWith(beginning))
  }

  /** What may be called of the service: mostly asked for each of its methods, one after the other. */
  #callableOf(service: string): Callable {
    let callable = this.#callable.get(service)
    if (callable === undefined) {
      const methods = this.#methods.filter((each) => fits(each.service, service)).map(({ method }) => method)
      const beginnings = methods.filter((method) => method.endsWith('*')).map((method) => method.slice(0, -1))
      callable = { names: new Set(methods), beginnings: beginnings.includes('') ? [''] : beginnings }
      if (this.#callable.size >= REMEMBERED) this.#callable.clear()
      this.#callable.set(service, callable)
    }
    return callable
  }
}
