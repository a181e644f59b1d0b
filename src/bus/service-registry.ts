/** Who provides which service, in which versions. */
import { shown } from '../arguments.js'
import { type ErrorCode, PlugbayError } from '../errors.js'
import { didYouMean } from '../nearest.js'
import { assertMethods, assertServiceName } from '../service-options.js'
import { descending, isRange, isVersion, satisfies, satisfiesLoosely } from '../versions.js'

export interface ServiceDeclaration {
  /** Like a topic's segment or several: letters, digits, and `. _ - / @ :`, starting with a letter, digit or `@`. */
  name: string
  /** A full semantic version. */
  version: string
  /** The plugin that provides it. */
  provider: string
  methods: readonly string[]
  /** Whatever leads to the provider: the registry only keeps it. */
  handle: unknown
}

/** One provided service. */
export interface ServiceRecord extends Readonly<ServiceDeclaration> {
  /** False once it was withdrawn or replaced. */
  readonly active: boolean
  /** Takes the service back. Idempotent. */
  withdraw(): void
}

export interface ServiceChange {
  kind: 'provided' | 'withdrawn' | 'replaced'
  /** What is there now, or, for `withdrawn`, what was. */
  record: ServiceRecord
  /** For `replaced`: what was there before. */
  previous?: ServiceRecord
}

export type ServiceListener = (change: ServiceChange) => void

const NAME = /^[A-Za-z0-9@][\w.\-/@:]*$/

class Provided implements ServiceRecord {
  readonly name: string
  readonly version: string
  readonly provider: string
  readonly methods: readonly string[]
  readonly handle: unknown
  active = true
  readonly #withdraw: (record: Provided) => void

  constructor(declaration: ServiceDeclaration, withdraw: (record: Provided) => void) {
    this.name = declaration.name
    this.version = declaration.version
    this.provider = declaration.provider
    this.methods = Object.freeze([...declaration.methods])
    this.handle = declaration.handle
    this.#withdraw = withdraw
  }

  withdraw(): void {
    if (!this.active) return
    this.#withdraw(this)
  }
}

/** A service that was there: so that the error for a missing one can say where it went. */
interface Departed {
  version: string
  provider: string
}

/** How many versions of one name are remembered after they were withdrawn. */
const DEPARTED_KEPT = 8

const rangeText = (range: string): string => (range === '*' || range === '' ? 'any version' : `a version in '${range}'`)

/** Keeps what is provided, by name and version. It knows nothing of ports or threads: a record's `handle` is its owner's business. */
export class ServiceRegistry {
  readonly #records = new Map<string, Provided[]>()
  readonly #departed = new Map<string, Departed[]>()
  readonly #watchers = new Map<string, Set<ServiceListener>>()
  /** What is to be told when the changes that go together are made. */
  #untold: ServiceChange[] | undefined
  readonly #comesBack: (provider: string) => boolean

  /** `comesBack`: whether a provider that is gone will be there again, and its services are kept for it. */
  constructor(comesBack: (provider: string) => boolean = () => false) {
    this.#comesBack = comesBack
  }

  /**
   * Provides a service. Throws `SERVICE_NAME_INVALID` or `SERVICE_VERSION_INVALID` for a name or version that is not valid,
   * `SERVICE_DUPLICATE` when the same version of that name is already provided, or kept for a provider that comes back.
   */
  provide(declaration: ServiceDeclaration): ServiceRecord {
    this.#assert(declaration)
    this.#assertFree(declaration)
    const record = this.#record(declaration)
    this.#insert(record)
    this.#tell({ kind: 'provided', record })
    return record
  }

  /** Throws what {@link provide} would throw, without providing; the records of a provider that `yields` do not stand in its way. */
  check(declaration: ServiceDeclaration, yields: (provider: string) => boolean): void {
    this.#assert(declaration)
    this.#assertFree(declaration, ({ provider }) => yields(provider))
  }

  /**
   * Swaps a record for another of the same name in one turn: the name is never absent, and watchers see `replaced`. If the old record is
   * no longer active, the new one is provided. Throws as {@link provide}, and changes nothing then.
   */
  replace(old: ServiceRecord, declaration: ServiceDeclaration): ServiceRecord {
    if (!old.active) return this.provide(declaration)
    this.#assert(declaration)
    if (declaration.name !== old.name) {
      throw new PlugbayError(
        'SERVICE_NAME_INVALID',
        `The service '${old.name}' of '${old.provider}' cannot be replaced by one named '${declaration.name}'. Withdraw the one and provide the other.`,
        {
          plugin: declaration.provider,
          details: { name: declaration.name, expected: old.name },
        },
      )
    }
    this.#assertFree(declaration, (record) => record === old)
    const record = this.#record(declaration)
    this.#remove(old)
    this.#insert(record)
    this.#tell({ kind: 'replaced', record, previous: old })
    return record
  }

  /** Makes several changes of which nobody hears before all are made: a watcher might take what the next of them needs. */
  together(make: () => void): void {
    const untold: ServiceChange[] = (this.#untold = [])
    try {
      make()
    } finally {
      this.#untold = undefined
      for (const change of untold) this.#tell(change)
    }
  }

  /**
   * The highest version in the range, if there is one; a prerelease only where no release fits. Throws `SERVICE_VERSION_INVALID` for a
   * range that is none.
   */
  find(name: string, range = '*'): ServiceRecord | undefined {
    assertServiceName(name)
    this.#assertRange(name, range)
    const records = this.#records.get(name)
    return records?.find(({ version }) => satisfies(version, range)) ?? records?.find(({ version }) => satisfiesLoosely(version, range))
  }

  /** Whether that version of that name is provided. */
  isTaken(name: string, version: string): boolean {
    return this.#records.get(name)?.some((record) => descending(record.version, version) === 0) === true
  }

  /**
   * The highest version in the range, as soon as there is one. Rejects with the signal's reason when it is aborted first, or
   * `SERVICE_VERSION_INVALID` for a range that is none.
   */
  wait(name: string, range = '*', signal?: AbortSignal): Promise<ServiceRecord> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const found = this.find(name, range)
      if (found !== undefined) {
        resolve(found)
        return
      }
      const finish = (): void => {
        unwatch()
        signal?.removeEventListener('abort', aborted)
      }
      const aborted = (): void => {
        finish()
        reject(signal?.reason)
      }
      const unwatch = this.watch(name, ({ kind, record }) => {
        if (kind === 'withdrawn' || !record.active || !satisfiesLoosely(record.version, range)) return
        finish()
        resolve(record)
      })
      signal?.addEventListener('abort', aborted)
    })
  }

  /** Calls the listener at every change of a name, after it happened. Returns the undo. What the listener throws is ignored. */
  watch(name: string, listener: ServiceListener): () => void {
    assertServiceName(name)
    const listeners = this.#watchers.get(name) ?? new Set()
    this.#watchers.set(name, listeners)
    // One wrapper a call, so that the same function may watch twice and each undo is its own.
    const own: ServiceListener = (change) => listener(change)
    listeners.add(own)
    return () => {
      if (listeners.delete(own) && listeners.size === 0 && this.#watchers.get(name) === listeners) this.#watchers.delete(name)
    }
  }

  /** All that is provided, by name and from the highest version down. */
  list(): ServiceRecord[] {
    return [...this.#records.keys()].sort().flatMap((name) => this.#records.get(name) ?? [])
  }

  /** The `SERVICE_UNKNOWN` error that says why a service is not found, and what its asker is to do. */
  explainMissing(name: string, range = '*', asker?: string): PlugbayError {
    const there = this.#records.get(name)
    const left = (this.#departed.get(name) ?? []).filter(({ version }) => satisfiesLoosely(version, range))
    const gone = left.at(-1)
    const details: Record<string, unknown> = { name, range }
    let message: string
    if (gone !== undefined && gone.provider === asker) {
      message = `The service '${name}' is one that '${asker}' provides itself; its version ${gone.version} is not provided at present. Await provide() before use().`
      details['provider'] = asker
    } else if (gone !== undefined) {
      message = `The service '${name}' was provided in version ${gone.version} by '${gone.provider}', but that plugin is not running or withdrew it. Start '${gone.provider}', or wait for the service.`
      details['provider'] = gone.provider
    } else if (there !== undefined) {
      const versions = there.map(({ version, provider }) => `${version} by '${provider}'`).join(', ')
      message = `The service '${name}' is not provided in ${rangeText(range)}; it is there as ${versions}. Widen the range, or install a provider that fits it.`
      details['versions'] = there.map(({ version }) => version)
    } else {
      const names = [...this.#records.keys()]
      const hint = didYouMean(name, names)
      const known =
        names.length === 0
          ? 'No service is provided at all.'
          : `Provided are: ${names.slice(0, 20).sort().join(', ')}${names.length > 20 ? ', …' : ''}.`
      message = `No plugin provides a service named '${name}'.${hint || ` ${known}`}${hint ? '' : ' Add a plugin that provides it, or depend on it so that it starts first.'}`
    }
    return new PlugbayError('SERVICE_UNKNOWN', message, { plugin: gone?.provider, details })
  }

  #record(declaration: ServiceDeclaration): Provided {
    return new Provided(declaration, (record) => {
      this.#remove(record)
      const departed = this.#departed.get(record.name) ?? []
      const others = departed.filter(({ version, provider }) => version !== record.version || provider !== record.provider)
      this.#departed.set(record.name, [...others, { version: record.version, provider: record.provider }].slice(-DEPARTED_KEPT))
      this.#tell({ kind: 'withdrawn', record })
    })
  }

  #insert(record: Provided): void {
    const records = [...(this.#records.get(record.name) ?? []), record].sort((a, b) => descending(a.version, b.version))
    this.#records.set(record.name, records)
    const departed = this.#departed.get(record.name)?.filter(({ version }) => version !== record.version) ?? []
    if (departed.length > 0) this.#departed.set(record.name, departed)
    else this.#departed.delete(record.name)
  }

  #remove(record: ServiceRecord): void {
    const rest = this.#records.get(record.name)?.filter((other) => other !== record) ?? []
    if (rest.length > 0) this.#records.set(record.name, rest)
    else this.#records.delete(record.name)
    if (record instanceof Provided) record.active = false
  }

  #tell(change: ServiceChange): void {
    if (this.#untold !== undefined) {
      this.#untold.push(change)
      return
    }
    for (const listener of [...(this.#watchers.get(change.record.name) ?? [])]) {
      // One watcher must not keep the others from hearing.
      try {
        listener(change)
      } catch {}
    }
  }

  #assert({ name, version, provider, methods }: ServiceDeclaration): void {
    const refuse = (code: ErrorCode, message: string): never => {
      throw new PlugbayError(code, message, { plugin: provider, details: { name, version } })
    }
    if (typeof name === 'string') assertServiceName(name)
    if (typeof name !== 'string' || !NAME.test(name)) {
      refuse(
        'SERVICE_NAME_INVALID',
        `The plugin '${provider}' provides a service named '${String(name)}', which is not a valid name. Use letters, digits and . _ - / @ : without spaces.`,
      )
    }
    if (!isVersion(version)) {
      refuse(
        'SERVICE_VERSION_INVALID',
        `The plugin '${provider}' provides the service '${name}' in version ${shown(String(version))}, which is no semantic version. Give one such as '1.0.0'.`,
      )
    }
    assertMethods(methods, name, provider)
  }

  #assertRange(name: string, range: string): void {
    if (typeof range === 'string' && isRange(range)) return
    throw new PlugbayError(
      'SERVICE_VERSION_INVALID',
      `${shown(range)} is no range of versions, asked of the service '${name}'. Give one such as '^1.0.0', or '*'.`,
      {
        details: { name, range },
      },
    )
  }

  #assertFree(declaration: ServiceDeclaration, except: (other: { provider: string }) => boolean = () => false): void {
    const { name, version, provider } = declaration
    const stands = (other: { version: string; provider: string }): boolean => descending(other.version, version) === 0 && !except(other)
    const there = this.#records.get(name)?.find(stands)
    const kept = this.#departed.get(name)?.find((other) => other.provider !== provider && stands(other) && this.#comesBack(other.provider))
    const other = there ?? kept
    if (other === undefined) return
    const who =
      there === undefined
        ? `it is kept for '${other.provider}', which crashed and is restarted`
        : other.provider === provider
          ? 'it already provides that version itself'
          : `'${other.provider}' already provides that version`
    throw new PlugbayError(
      'SERVICE_DUPLICATE',
      `The plugin '${provider}' cannot provide the service '${name}' ${version}: ${who}. Withdraw one, or give it another version.`,
      {
        plugin: provider,
        details: { name, version, provider: other.provider },
      },
    )
  }
}
