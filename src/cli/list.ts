/** `plugbay list`: the plugins, where each would run, in which wave, and what it needs. */
import type { PlugbayError } from '../errors.js'
import { type TerminalStyle, terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { visibleLine } from '../kernel/text/visible-text.js'
import { chosenBy } from './placement-text.js'
import { problemScreen } from './problem-screen.js'
import { type PlaceOptions, type ProjectPlugin, readProject, shortPath, type Unread } from './project.js'

export interface ListOptions extends PlaceOptions {
  json?: true
}

const needsOf = ({ source: { manifest } }: ProjectPlugin): string =>
  [
    ...Object.entries(manifest.dependencies).map(([name, range]) => `${name} ${range}`),
    ...Object.entries(manifest.optionalDependencies).map(([name, range]) => `${name} ${range} (optional)`),
  ].join(', ')

const fateOf = ({ wave, enabled, error }: ProjectPlugin): string => {
  if (wave !== undefined) return `wave ${wave + 1}`
  return enabled ? (error?.code ?? 'left out') : 'disabled'
}

const table = (plugins: readonly ProjectPlugin[], style: TerminalStyle): string => {
  const rows = plugins.map((plugin) => [
    plugin.source.name,
    plugin.source.version,
    plugin.tier ?? plugin.placement.isolation,
    chosenBy(plugin),
    fateOf(plugin),
    visibleLine(needsOf(plugin)),
  ])
  const head = ['name', 'version', 'runs', 'chosen by', 'starts', 'needs']
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = rows.map((row, index) => {
    const text = line(row)
    const plugin = plugins[index]
    if (plugin?.error) return style.red(text)
    return plugin?.enabled === false ? style.dim(text) : text
  })
  return [style.dim(line(head)), ...lines].join('\n')
}

const errorAsData = ({ code, message }: PlugbayError): object => ({ code, message })

const asData = ({ source, placement, demote, tier, granted, wave, enabled, error }: ProjectPlugin): object => ({
  name: source.name,
  version: source.version,
  description: source.manifest.description,
  path: source.path,
  isolation: placement.isolation,
  isolationFrom: placement.from,
  demote: demote ?? null,
  tier: tier ?? null,
  enabled,
  wave: wave ?? null,
  dependencies: source.manifest.dependencies,
  optionalDependencies: source.manifest.optionalDependencies,
  conflicts: source.manifest.conflicts,
  permissions: granted.permissions,
  error: error && errorAsData(error),
})

/** Without what a manifest would say. */
const unreadAsData = ({ name, path, error }: Unread): object => ({ name, path, wave: null, error: errorAsData(error) })

export const list = async (folder: string, options: ListOptions): Promise<void> => {
  const project = await readProject(folder, options)
  if (options.json) {
    const all = [...project.plugins.map(asData), ...project.unread.map(unreadAsData)]
    process.stdout.write(`${JSON.stringify(all, null, 2)}\n`)
    return
  }
  const style = terminalStyle(wantsColor(process.stdout))
  if (project.plugins.length === 0) {
    const places = project.options.plugins.map(shortPath).join(', ')
    process.stdout.write(`No plugins${places === '' ? '' : ` in ${places}`}. \`plugbay new plugin <name>\` makes one.\n`)
  } else {
    process.stdout.write(`${table(project.plugins, style)}\n`)
  }
  if (project.problems.length > 0) process.stdout.write(`\n${problemScreen(project.problems, style)}\n`)
}
