/** What decides from outside of a plugin's modules how they are read: the package.json files they belong to, and the packages they import that are not there yet. */
import { existsSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { readTextFile } from '../../text-file.js'
import { upwardsFrom, within } from '../../within.js'
import { parseJson } from '../text/json-text.js'

export interface PackageScope {
  /** The files that say it, and those that would if they came. */
  files: string[]
  /** What they say of the modules, as a text: a new version of one of them that says the same changes nothing. */
  says: string
}

const textOf = (file: string): string | undefined => {
  try {
    return readTextFile(file)
  } catch {
    return undefined
  }
}

/** Of a package.json only this is of any concern to the modules in it. What cannot be read is told by whoever loads them. */
const sayingOf = (text: string): string => {
  const parsed = parseJson(text)
  if (!('value' in parsed)) return text
  const { type, imports } = (parsed.value ?? {}) as { type?: unknown; imports?: unknown }
  return JSON.stringify([type, imports])
}

/** The package.json that modules in `folder` belong to, after those that would be nearer; where there is none, as far up as `limit`. */
const belonging = (folder: string, limit: string): PackageScope => {
  const files: string[] = []
  for (const each of upwardsFrom(folder)) {
    const file = join(each, 'package.json')
    files.push(file)
    const text = textOf(file)
    if (text !== undefined) return { files, says: sayingOf(text) }
  }
  return { files: files.filter((file) => within(limit, file)), says: '' }
}

/** `@scope/name/part` → `@scope/name`. */
const packageOf = (name: string): string => (/^(?:@[^/]+\/)?[^/]+/.exec(name) ?? [name])[0]

/** Where packages would be that are imported from `folder` and are nowhere, and what an installer writes when it is done. */
const missing = (folder: string, bare: readonly string[]): PackageScope => {
  const folders = upwardsFrom(folder)
  const names = bare.filter((name) => !isBuiltin(name) && !/^#|^plugbay(?:\/|$)/.test(name)).map(packageOf)
  const nowhere = names.filter((name) => !folders.some((each) => existsSync(join(each, 'node_modules', name))))
  if (nowhere.length === 0) return { files: [], says: '' }
  const last = folders.findIndex((each) => existsSync(join(each, 'package.json')))
  const files = folders
    .slice(0, last + 1)
    .flatMap((each) =>
      [...nowhere.map((name) => join(name, 'package.json')), '.package-lock.json'].map((file) => join(each, 'node_modules', file)),
    )
  return { files, says: files.map((file) => textOf(file)?.length ?? '').join() }
}

/** Of modules in `folders`, the first of which imports the packages `bare`. `limit` is the folder that the plugin is in. */
export const packageScope = (folders: readonly string[], bare: readonly string[], limit: string): PackageScope => {
  const scopes = [...folders.map((folder) => belonging(folder, limit)), ...folders.slice(0, 1).map((folder) => missing(folder, bare))]
  return { files: [...new Set(scopes.flatMap(({ files }) => files))], says: scopes.map(({ says }) => says).join('\n') }
}
