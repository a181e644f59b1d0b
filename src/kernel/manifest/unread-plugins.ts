/** What lies among the plugins and cannot be read as one: by its name, as far as that is known, and by its path. */
import { existsSync } from 'node:fs'
import { basename, extname } from 'node:path'
import type { PlugbayError } from '../../errors.js'
import { targetOf } from '../text/missing-path.js'
import { isPluginModule } from './module-names.js'

export interface UnreadPlugin {
  /** As it is told of: its path where nobody can say its name. */
  name: string
  path: string
  error: PlugbayError
  newest: 0
}

/** The name that it has by where it lies, where its manifest gives it no other. */
const impliedName = (path: string): string => (isPluginModule(path) ? basename(path, extname(path)) : basename(path))

export class UnreadPlugins {
  readonly #errors = new Map<string, PlugbayError>()

  add(path: string, error: PlugbayError): void {
    this.#errors.set(path, error)
  }

  /** It could be read, or is no plugin any more. */
  forget(path: string): void {
    this.#errors.delete(path)
  }

  find(name: string): UnreadPlugin | undefined {
    for (const [path, error] of this.#errors) {
      if (name !== path && name !== (error.plugin ?? impliedName(path))) continue
      if (existsSync(path) || targetOf(path) !== undefined) return { name: error.plugin ?? path, path, error, newest: 0 }
      this.forget(path)
    }
    return undefined
  }
}
