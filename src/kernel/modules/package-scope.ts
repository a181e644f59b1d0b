/**
 * What decides from outside of a plugin's modules how they are read: the package.json files they belong to, and the packages they import
 * that are not there yet.
 */
import { createHash } from 'node:crypto'
import { existsSync, type Stats, statSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { Pace } from '../../pace.js'
import { readTextFile } from '../../text-file.js'
import { upwardsFrom, within } from '../../within.js'

export interface PackageScope {
  /** The files that say it, and those that would if they came. */
  files: string[]
  /** What they say of the modules, as a text: a new version of one of them that says the same changes nothing. */
  says: string
}

/** Bytes of all package.json files that are looked into: of one that is more a touch counts as a new version. */
const MOST = 1_048_576
/** Packages that are waited for, and the files that are watched for that: when the first of them come, it is looked again. */
const MOST_MISSING = 100
const MOST_AWAITED = 1_000
/** So often it is looked whether a package is there. */
const MOST_LOOKS = 10_000

const fileAt = (path: string): Stats | undefined => {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats?.isFile() ? stats : undefined
  } catch {
    return undefined
  }
}

/** Of a package.json only this is of any concern to the modules in it. What cannot be read is told by whoever loads them. */
const sayingOf = (text: string): string => {
  try {
    const { type, imports } = (JSON.parse(text) ?? {}) as { type?: unknown; imports?: unknown }
    return JSON.stringify([type, imports])
  } catch {
    return text
  }
}

/**
 * The package.json files that modules in `folders` belong to, with those that would be nearer; where there is none, as far up as `limit`.
 */
const belonging = async (folders: readonly string[], limit: string, pace: Pace): Promise<PackageScope> => {
  let room = MOST
  const read = (folder: string): string | undefined => {
    const file = join(folder, 'package.json')
    const stats = fileAt(file)
    if (stats === undefined) return undefined
    try {
      const text = readTextFile(file, room)
      room -= stats.size
      return createHash('sha1').update(sayingOf(text)).digest('base64')
    } catch {
      return `${stats.size}:${stats.mtimeMs}`
    }
  }
  const found = new Map<string, string | undefined>()
  for (const folder of folders) {
    const way: string[] = []
    let says: string | undefined
    for (const each of upwardsFrom(folder)) {
      if (pace.due) await pace.rest()
      const known = found.has(each)
      says = known ? found.get(each) : read(each)
      if (!known) way.push(each)
      if (known || says !== undefined) break
    }
    for (const each of way) found.set(each, says)
  }
  const files = Array.from(found, ([folder, says]) => ({ file: join(folder, 'package.json'), says }))
  return {
    files: files.filter(({ file, says }) => says !== undefined || within(limit, file)).map(({ file }) => file),
    says: folders.map((folder) => found.get(folder)).join('\n'),
  }
}

/** `@scope/name/part` → `@scope/name`. */
export const packageOf = (name: string): string => (/^(?:@[^/]+\/)?[^/]+/.exec(name) ?? [name])[0]

/** Where packages would be that are imported from `folder` and are nowhere, and what an installer writes when it is done. */
const missing = async (folder: string, bare: readonly string[], pace: Pace): Promise<PackageScope> => {
  const folders = upwardsFrom(folder)
  const places = folders.map((each) => join(each, 'node_modules')).filter((place) => existsSync(place))
  const names = new Set(bare.filter((name) => !isBuiltin(name) && !/^#|^plugbay(?:\/|$)/.test(name)).map(packageOf))
  const nowhere: string[] = []
  for (const name of [...names].slice(0, MOST_LOOKS / Math.max(1, places.length))) {
    if (nowhere.length === MOST_MISSING) break
    if (pace.due) await pace.rest()
    if (!places.some((place) => existsSync(join(place, name)))) nowhere.push(name)
  }
  if (nowhere.length === 0) return { files: [], says: '' }
  const last = folders.findIndex((each) => existsSync(join(each, 'package.json')))
  const files = folders
    .slice(0, last + 1)
    .flatMap((each) =>
      ['.package-lock.json', ...nowhere.map((name) => join(name, 'package.json'))].map((file) => join(each, 'node_modules', file)),
    )
    .slice(0, MOST_AWAITED)
  return { files, says: files.map((file) => fileAt(file)?.size ?? '').join() }
}

/** Of modules in `folders`, the first of which imports the packages `bare`. `limit` is the folder that the plugin is in. */
export const packageScope = async (folders: readonly string[], bare: readonly string[], limit: string): Promise<PackageScope> => {
  const pace = new Pace()
  const scopes = [await belonging(folders, limit, pace)]
  if (folders[0] !== undefined) scopes.push(await missing(folders[0], bare, pace))
  return { files: [...new Set(scopes.flatMap(({ files }) => files))], says: scopes.map(({ says }) => says).join('\n') }
}
