/**
 * `AsyncLocalStorage` for a Node whose own one keeps what is stored in the resources that it follows, by methods and symbols that a plugin
 * can change: those would hand it each resource, the kernel's wire among them. In this one nothing of a plugin's meets a resource.
 */
import asyncHooks from 'node:async_hooks'

/** What all storages hold at one place in the flow of the program. Not changed once it is made. */
type Stores = ReadonlyMap<object, unknown>
type Callback<R> = (...args: unknown[]) => R

/** Made before the plugin can have a hand in what it is made of. */
export const makeAsyncStorage = (): unknown => {
  const { apply } = Reflect
  const { get, set } = WeakMap.prototype
  const { AsyncResource, createHook, executionAsyncResource } = asyncHooks
  const flow = new WeakMap<object, Stores>()
  const storesOf = (resource: object): Stores | undefined => apply(get, flow, [resource]) as Stores | undefined
  const keep = (resource: object, stores: Stores): void => void apply(set, flow, [resource, stores])
  const hook = createHook({
    init(_id, _type, _trigger, resource) {
      const stores = storesOf(executionAsyncResource())
      if (stores !== undefined) keep(resource, stores)
    },
  })
  let hooked = false

  return class AsyncLocalStorage {
    static readonly name = 'AsyncLocalStorage'
    #enabled = false

    static bind(callback: Callback<unknown>): Callback<unknown> {
      return AsyncResource.bind(callback)
    }

    static snapshot(): Callback<unknown> {
      return AsyncResource.bind((...[callback, ...args]: unknown[]) => (callback as Callback<unknown>)(...args))
    }

    disable(): void {
      this.#enabled = false
    }

    getStore(): unknown {
      return this.#enabled ? storesOf(executionAsyncResource())?.get(this) : undefined
    }

    enterWith(store: unknown): void {
      this.#enter(store)
    }

    run<R>(store: unknown, callback: Callback<R>, ...args: unknown[]): R {
      const before = this.#enabled ? storesOf(executionAsyncResource())?.get(this) : undefined
      this.#enter(store)
      try {
        return apply<null, unknown[], R>(callback, null, args)
      } finally {
        this.#enter(before)
      }
    }

    exit<R>(callback: Callback<R>, ...args: unknown[]): R {
      const enabled = this.#enabled
      try {
        return this.run(undefined, callback, ...args)
      } finally {
        this.#enabled = enabled
      }
    }

    #enter(store: unknown): void {
      this.#enabled = true
      if (!hooked) {
        hooked = true
        hook.enable()
      }
      const resource = executionAsyncResource()
      keep(resource, new Map(storesOf(resource)).set(this, store))
    }
  }
}
