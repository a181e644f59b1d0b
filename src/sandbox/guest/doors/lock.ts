/** Properties that stay as they are, whatever a plugin does to them. */

// The plugin may change what it finds in the realm: taken before it runs.
const { defineProperty, getOwnPropertyDescriptor, ownKeys } = Reflect

/** Defines what can be neither replaced nor deleted. */
export const lock = (target: object, key: PropertyKey, value: unknown): void => {
  defineProperty(target, key, { value, writable: false, enumerable: true, configurable: false })
}

/** Keeps a prototype's functions but its class, or those that are named; an object or a class that inherits them may still have its own. */
export const protect = (
  prototype: object,
  keys: readonly PropertyKey[] = ownKeys(prototype).filter((key) => key !== 'constructor'),
): void => {
  for (const key of keys) {
    const found = getOwnPropertyDescriptor(prototype, key)
    if (typeof found?.value !== 'function' || !found.configurable) continue
    const value: unknown = found.value
    defineProperty(prototype, key, {
      get: () => value,
      set(this: object, own: unknown) {
        if (this === prototype) throw new TypeError(`Cannot assign to '${String(key)}' of a protected prototype.`)
        defineProperty(this, key, { value: own, writable: true, enumerable: true, configurable: true })
      },
      enumerable: found.enumerable ?? false,
      configurable: false,
    })
  }
}
