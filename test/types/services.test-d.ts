/** What provide and use know about declared services: checked by tsc alone, never run. */
import type { KernelServices } from '#src/kernel/kernel-services.js'
import type { PluginServices } from '#src/plugin.js'

declare module '#src/bus/typed-services.js' {
  interface Services {
    users: {
      findById(id: string): { id: string } | undefined
      count(): Promise<number>
      list(prefix?: string): AsyncIterable<string>
    }
    clock: { readonly zone: string; now(): number }
  }
}

/** True when the two are the same type, `any` told apart. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <_ extends true>(): void => {}

declare const list: () => AsyncIterable<string>
declare const inPlugin: PluginServices
declare const inKernel: KernelServices
declare const text: string

for (const services of [inPlugin, inKernel]) {
  // The parameters of a declared service's methods need no types, and a method may answer now or later.
  void services.provide('users', {
    findById: (id) => {
      holds<Same<typeof id, string>>()
      return { id }
    },
    count: () => 1,
    list,
  })
  void services.provide('users', {
    async findById(id) {
      return id === '' ? undefined : { id }
    },
    count: async () => 1,
    async *list(prefix) {
      holds<Same<typeof prefix, string | undefined>>()
      yield `${prefix}`
    },
  })

  // @ts-expect-error a method is missing
  void services.provide('users', { findById: () => undefined, count: () => 1 })
  // @ts-expect-error a method answers with something else
  void services.provide('users', { findById: (id) => ({ id }), count: () => 'many', list })
  // @ts-expect-error a member that is no method is missing
  void services.provide('clock', { now: () => 1 })
  // @ts-expect-error it is of a version, not a versoin
  void services.provide('clock', { zone: 'UTC', now: () => 1 }, { versoin: '1.0.0' })

  // What is not declared is free.
  void services.provide('other', { any: (thing: number) => thing })
  void services.provide(text, {})
  // @ts-expect-error but it has to be an object
  void services.provide('other', 5)
}

/** One of a class may have more than is declared. */
class Users {
  #seen = 0
  findById(id: string): { id: string } {
    this.#seen++
    return { id }
  }
  count(): number {
    return this.#seen
  }
  list = list
  reset(): void {
    this.#seen = 0
  }
}
void inPlugin.provide('users', new Users())
void inKernel.provide('users', new Users(), { version: '2.0.0' })

export const use = async (): Promise<void> => {
  const users = await inPlugin.use('users')
  holds<Same<Awaited<ReturnType<typeof users.findById>>, { id: string } | undefined>>()
  holds<Same<Awaited<ReturnType<typeof users.count>>, number>>()
  for await (const name of await users.list()) holds<Same<typeof name, string>>()
}
