/** The files that a place for a plugin begins with: they lie beside this one, and nowhere once plugbay was bundled. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PlugbayError } from '../../errors.js'

const found = new Map<string, string>()

/** Where the guest's file of that name lies. Throws ISOLATION_UNAVAILABLE where it is not there. */
export const guestFile = (name: 'thread.cjs' | 'process.cjs' | 'task.cjs'): string => {
  const known = found.get(name)
  if (known !== undefined) return known
  const file = fileURLToPath(new URL(`../guest/${name}`, import.meta.url))
  if (!existsSync(file)) {
    throw new PlugbayError(
      'ISOLATION_UNAVAILABLE',
      `Plugins cannot be given threads and processes: plugbay's own file ${file} is not there. A bundler has most likely taken plugbay into the application: ` +
        'keep plugbay external (--external:plugbay), and install it where the application runs.',
      { details: { file } },
    )
  }
  found.set(name, file)
  return file
}
