/** Saves as an editor makes them. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Running } from './plugin-folder.js'

/** Puts these files there whole, one right after the other. */
export const save = ({ folder }: Pick<Running, 'folder'>, files: Record<string, string | object>): void => {
  const aside = join(folder, '.saved')
  mkdirSync(aside, { recursive: true })
  const entries = Object.entries(files)
  for (const [index, [, content]] of entries.entries())
    writeFileSync(join(aside, String(index)), typeof content === 'string' ? content : JSON.stringify(content))
  for (const [index, [path]] of entries.entries()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    renameSync(join(aside, String(index)), join(folder, path))
  }
}
