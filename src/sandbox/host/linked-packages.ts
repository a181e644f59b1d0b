/**
 * The packages that a plugin finds by links, as in a workspace: they lie outside of every `node_modules`, and may be imported as those that
 * lie in one.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { upwardsFrom, within } from '../../within.js'
import { real, realOf } from './readable.js'

/** Who looks for packages. Paths are absolute, and links in them are followed. */
export interface Finder {
  /** The plugin's own folder. */
  root: string
  /**
   * The application's folder, and those of plugins: what one of these lies in is the application, or all there is, and no package, whatever
   * links to it.
   */
  closed: readonly string[]
  /** Files and folders that the plugin may write: by a link there it would open others to itself. `*`: all. */
  writable: readonly string[]
}

interface Link {
  /** The folder that it leads to. */
  target: string
  /** The folders in which links lie on the way there. */
  by: string[]
}

interface Listed {
  /** Where it is, links followed. */
  real: string
  /** When it was last looked at. */
  at: number
  mtime: number | undefined
  links: Link[]
  scopes: string[]
}

/** Plugins start in great numbers at once, and packages are not installed in between. */
const LOOK_AGAIN_AFTER = 500
/** Each start asks; a folder with hundreds of packages takes milliseconds to list. */
const listed = new Map<string, Listed>()
const NODE_MODULES = `${sep}node_modules${sep}`

/**
 * Real paths of folders. What links in a `node_modules` above the plugin's folder lead to was put there by whoever installed the
 * application. Links of the plugin's own folder, and of the packages that are found, came with these: they are believed within the
 * workspace that the plugin is in, where they lead to a package.
 */
export const linkedPackages = ({ root, closed, writable }: Finder): string[] => {
  const above = new Set(upwardsFrom(dirname(root)))
  const mayWrite = (path: string): boolean => writable.some((each) => each === '*' || within(each, path) || within(real(each), path))
  const isClosed = (target: string): boolean => [root, ...closed].some((folder) => within(target, folder))
  let workspace: string | null | undefined
  const inWorkspace = (target: string): boolean => {
    workspace ??=
      [...above].find((folder) => WORKSPACE.some(([file, says]) => !mayWrite(join(folder, file)) && says(join(folder, file)))) ?? null
    return workspace !== null && within(workspace, target) && existsSync(join(target, 'package.json'))
  }
  const found = new Set<string>()
  const looked = new Set<string>()
  const waiting = [root]
  for (const folder of waiting) {
    for (const at of upwardsFrom(folder)) {
      if (looked.has(at)) break
      looked.add(at)
      for (const { target, by } of linksFrom(join(at, 'node_modules'))) {
        if (found.has(target) || isClosed(target) || by.some(mayWrite) || !(above.has(at) || inWorkspace(target))) continue
        found.add(target)
        // One that lies in another node_modules finds its own packages there.
        if (!target.includes(NODE_MODULES)) waiting.push(target)
      }
    }
  }
  return [...found].filter((target) => !within(root, target))
}

const hasWorkspaces = (file: string): boolean => {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { workspaces?: unknown }).workspaces !== undefined
  } catch {
    return false // There is none, or none that says anything.
  }
}

/** What says that a folder is a workspace. */
const WORKSPACE: [file: string, says: (file: string) => boolean][] = [
  ['pnpm-workspace.yaml', existsSync],
  ['package.json', hasWorkspaces],
]

/** Those that lead out of it. */
const linksFrom = (modules: string): Link[] => {
  const { real: where, links, scopes } = list(modules)
  const all = scopes.length === 0 ? links : [...links, ...scopes.flatMap((scope) => list(scope).links)]
  if (all.length === 0) return all
  return all.filter(({ target }) => !within(where, target))
}

const list = (folder: string): Listed => {
  const at = performance.now()
  const known = listed.get(folder)
  if (known !== undefined && at - known.at < LOOK_AGAIN_AFTER) return known
  const mtime = mtimeOf(folder)
  const now =
    known !== undefined && known.mtime === mtime
      ? { ...known, at }
      : { at, mtime, real: real(folder), ...(mtime === undefined ? NOTHING : listNow(folder)) }
  listed.set(folder, now)
  return now
}

const NOTHING: Pick<Listed, 'links' | 'scopes'> = { links: [], scopes: [] }

const listNow = (folder: string): Pick<Listed, 'links' | 'scopes'> => {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    const links = entries.filter((entry) => entry.isSymbolicLink()).flatMap(({ name }) => linkAt(join(folder, name)) ?? [])
    const scopes = entries.filter((entry) => entry.isDirectory() && entry.name.startsWith('@')).map(({ name }) => join(folder, name))
    return { links, scopes }
  } catch {
    return NOTHING // It may not be looked into, or is gone meanwhile.
  }
}

const mtimeOf = (folder: string): number | undefined => {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.mtimeMs
  } catch {
    return undefined
  }
}

/** Undefined where it leads to no folder. */
const linkAt = (path: string): Link | undefined => {
  const target = realOf(path)
  return target !== undefined && statSync(target).isDirectory() ? { target, by: linksOn(path) } : undefined
}

const linksOn = (path: string): string[] =>
  upwardsFrom(path).flatMap((at) => {
    const to = leadsTo(at)
    if (to === undefined) return []
    const folder = real(dirname(at))
    return [folder, ...linksOn(resolve(folder, to))]
  })

/** Of a link. */
const leadsTo = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
