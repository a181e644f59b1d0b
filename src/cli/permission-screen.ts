/** What each plugin may do and where it runs, as people read it: one line for each plugin. */
import { relative } from 'node:path'
import type { TerminalStyle } from '../kernel/text/terminal-style.js'
import { visibleLine } from '../kernel/text/visible-text.js'
import { type Granted, type Permission, PermissionSet } from '../permission-set.js'
import { chosenBy } from './placement-text.js'
import type { ProjectPlugin } from './project.js'

const ALL = new Set(['**', '*'])

const listed = (names: readonly string[]): string => (names.some((name) => ALL.has(name)) ? 'all' : names.join(', '))

/** The places under the plugin's own folders by their short names. */
const shortPaths = ({ root, dataDir }: Granted, paths: readonly string[]): string[] =>
  paths.map((path) => {
    if (path === dataDir) return 'data'
    const way = relative(root, path)
    return path === '*' || way.startsWith('..') ? path : `./${way}`
  })

/** `[act, what]` for each act that is allowed. */
const rowsOf = (granted: Granted): [string, string][] => {
  const set = new PermissionSet(granted)
  const calls = granted.permissions
    .filter(({ resource }) => resource.startsWith('service:'))
    .flatMap(({ resource, actions }) => {
      const name = resource.slice('service:'.length)
      if (actions.includes('call')) return [name]
      return actions.filter((action) => action.startsWith('call:')).map((action) => `${name}.${action.slice('call:'.length)}`)
    })
  const uses = (['child', 'worker', 'addons'] as const).filter((kind) => set.has(kind, 'use'))
  const rows: [string, readonly string[]][] = [
    ['publish', set.names('bus', 'publish')],
    ['subscribe', set.names('bus', 'subscribe')],
    ['provide', set.names('service', 'provide')],
    ['call', calls],
    ['read', shortPaths(granted, set.names('fs', 'read'))],
    ['write', shortPaths(granted, set.names('fs', 'write'))],
    ['connect', set.names('net', 'connect')],
    ['listen', set.names('net', 'listen')],
    ['env', set.names('env', 'read')],
    ['import', set.names('builtin', 'import')],
    ['use', uses],
  ]
  return rows.filter(([, names]) => names.length > 0).map(([act, names]) => [act, listed(names)])
}

/** What everybody may do without a word about it. */
const FREE = 'publish all; subscribe all; provide all; call all'

/** What the kernel holds itself, wherever a plugin runs. */
const isMediated = ({ resource }: Permission): boolean => /^(?:bus|service):/.test(resource)

/**
 * Inline nothing but the kernel's own checks holds a plugin, whatever its permissions say; nor does the wall of a process hold its tasks.
 */
const lineOf = ({ placement: { isolation }, granted, source }: ProjectPlugin): string => {
  const inline = isolation === 'inline'
  const held = inline ? { ...granted, permissions: granted.permissions.filter(isMediated) } : granted
  const may = rowsOf(held).map(([act, what]) => `${act} ${what}`)
  if (inline) may.push('all else that the application may')
  const line = may.join('; ') || 'nothing'
  if (isolation !== 'process' || Object.keys(source.tasks).length === 0) return line
  const open = new PermissionSet(granted).has('tasks', 'use')
  return `${line} (${open ? 'its tasks run outside that process, in threads of the application' : 'not its tasks, which would run outside that process'})`
}

const isPlain = ({ placement, demote }: ProjectPlugin): boolean => placement.from === 'default' && demote === undefined

/** Empty where no plugin has permissions or a place of its own. */
export const permissionScreen = (plugins: readonly ProjectPlugin[], style: TerminalStyle): string => {
  const rows = plugins.map((plugin) => ({
    name: plugin.source.name,
    place: `${plugin.tier ?? plugin.placement.isolation} (${chosenBy(plugin)})`,
    may: visibleLine(lineOf(plugin)),
  }))
  if (plugins.every(isPlain) && rows.every(({ may }) => may === FREE)) return ''
  const widest = (key: 'name' | 'place'): number => Math.max(...rows.map((row) => row[key].length))
  const [nameWidth, placeWidth] = [widest('name'), widest('place')]
  return rows
    .map(({ name, place, may }) => {
      const what = `${style.dim('may')} ${may === FREE ? style.dim(may) : may}`
      return `${name.padEnd(nameWidth)}  ${style.dim('in')} ${place.padEnd(placeWidth)}  ${what}`
    })
    .join('\n')
}
