/** A function in the place of one of the realm's, which nobody gets at from then on. */

/** It looks as the other does, and shares its prototype. */
export const standIn = (owner: object, key: string, held: object): void => {
  const found = Object.getOwnPropertyDescriptor(owner, key) as PropertyDescriptor & { value: { prototype?: object } }
  const { prototype } = found.value
  Object.defineProperties(held, Object.getOwnPropertyDescriptors(found.value))
  Object.defineProperty(owner, key, { ...found, value: held })
  if (prototype === undefined) return
  Object.defineProperty(prototype, 'constructor', { ...Object.getOwnPropertyDescriptor(prototype, 'constructor'), value: held })
}
