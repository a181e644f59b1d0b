/** What a boot came to, and how it looks as a tree. */
import { counted } from '../../sentence.js'
import { type TerminalStyle, terminalStyle } from '../text/terminal-style.js'
import { visible } from '../text/visible-text.js'

/** One plugin in a {@link BootReport}. Times are milliseconds. */
export interface BootedPlugin {
  name: string
  version: string
  state: string
  /** Where it runs. */
  isolation: string
  generation: number
  /** The index in `waves`, or -1 for a plugin that was not started. */
  wave: number
  /** From the first act for this plugin until it ran or failed. */
  ms: number
  phases: { load: number; initialize: number; start: number }
  /** Services, topics and patterns it acquired while it started, or that its manifest declares. */
  provides: readonly string[]
  publishes: readonly string[]
  subscribes: readonly string[]
  error?: { code: string; message: string }
}

/** What `kernel.start()` resolves with. */
export interface BootReport {
  /** The whole boot in milliseconds. */
  ms: number
  /** Names of the plugins that started together, in order. */
  waves: readonly (readonly string[])[]
  /** All names in start order. */
  order: readonly string[]
  plugins: readonly BootedPlugin[]
}

export interface BootTreeOptions {
  /** ANSI colours. Default: false. */
  color?: boolean
  /** Lists longer than this many characters are cut. Default: 100. */
  width?: number
}

/** 0.4 → `0.4 ms`, 41.6 → `42 ms`, 1234 → `1.2 s`. */
export const duration = (ms: number): string => {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`
  return ms < 10 ? `${Number(ms.toFixed(1))} ms` : `${Math.round(ms)} ms`
}

const listed = (names: readonly string[], width: number): string => {
  let text = ''
  for (const [index, name] of names.entries()) {
    const longer = index === 0 ? name : `${text}, ${name}`
    if (index > 0 && longer.length > width) return `${text}, and ${names.length - index} more`
    text = longer
  }
  return text
}

const stateMark = (state: string, style: TerminalStyle): string => {
  if (state === 'running') return style.green('●')
  if (state === 'failed') return style.red('✗')
  return style.dim('○')
}

interface Columns {
  name: number
  version: number
  place: number
  time: number
}

const placeOf = (plugin: BootedPlugin): string => (plugin.state === 'running' ? plugin.isolation : plugin.state)

const headline = (plugin: BootedPlugin, columns: Columns, style: TerminalStyle): string => {
  const { load, initialize, start } = plugin.phases
  const phases =
    load + initialize + start > 0 ? `load ${duration(load)} · initialize ${duration(initialize)} · start ${duration(start)}` : ''
  const place = placeOf(plugin).padEnd(columns.place)
  return [
    stateMark(plugin.state, style),
    style.bold(plugin.name.padEnd(columns.name)),
    style.dim(plugin.version.padEnd(columns.version)),
    plugin.state === 'failed' ? style.red(place) : style.cyan(place),
    duration(plugin.ms).padStart(columns.time),
    ...(phases === '' ? [] : [style.dim(phases)]),
  ].join(' ')
}

/** Whose error was told, by what it says: the members of a circle share one, and it is told once. */
type Told = Map<string, string>

const faultOf = ({ name, error }: BootedPlugin, style: TerminalStyle, told: Told): string[] => {
  if (!error) return []
  const first = told.get(error.message)
  if (first === undefined) told.set(error.message, name)
  const what = first === undefined ? (error.message.split('\n', 1)[0] as string) : `as '${first}'`
  return [`${style.red(error.code)} ${visible(what)}`]
}

const detailsOf = (plugin: BootedPlugin, width: number, style: TerminalStyle, told: Told): string[] => {
  const details = faultOf(plugin, style, told)
  for (const kind of ['provides', 'publishes', 'subscribes'] as const) {
    if (plugin[kind].length > 0) details.push(`${style.dim(kind.padEnd(10))} ${visible(listed(plugin[kind], width))}`)
  }
  return details
}

/**
 * The report as a tree: waves, in each its plugins with where they run, how long each phase took, what they provide, publish and
 * subscribe to; a failure with its code and the first line of its message. Ends without a line break.
 */
export const renderBootTree = (report: BootReport, { color = false, width = 100 }: BootTreeOptions = {}): string => {
  const style = terminalStyle(color)
  const byName = new Map(report.plugins.map((plugin) => [plugin.name, plugin]))
  const waves = report.waves.map((names) => names.flatMap((name) => byName.get(name) ?? []))
  const inWaves = new Set(waves.flat())
  const leftOut = report.plugins.filter((plugin) => !inWaves.has(plugin))
  const widest = (lengths: number[]) => Math.max(0, ...lengths)
  const columns: Columns = {
    name: widest(report.plugins.map(({ name }) => name.length)),
    version: widest(report.plugins.map(({ version }) => version.length)),
    place: widest(report.plugins.map((plugin) => placeOf(plugin).length)),
    time: widest(report.plugins.map(({ ms }) => duration(ms).length)),
  }

  const running = report.plugins.filter(({ state }) => state === 'running').length
  const failed = report.plugins.filter(({ state }) => state === 'failed').length
  const other = report.plugins.length - running - failed
  const counts = [`${counted(running, 'plugin')} running`]
  if (failed > 0) counts.push(style.red(`${failed} failed`))
  if (other > 0) counts.push(`${other} not started`)
  const lines = [`${style.bold('plugbay')} ${counts.join(', ')}, in ${duration(report.ms)}`]

  const told: Told = new Map()
  const group = (title: string, plugins: readonly BootedPlugin[]) => {
    lines.push(style.dim(title))
    for (const [index, plugin] of plugins.entries()) {
      const last = index === plugins.length - 1
      lines.push(`${style.dim(last ? '└─' : '├─')} ${headline(plugin, columns, style)}`)
      const stem = style.dim(last ? '  ' : '│ ')
      for (const detail of detailsOf(plugin, width, style, told)) lines.push(`${stem}     ${detail}`)
    }
  }
  for (const [index, plugins] of waves.entries()) if (plugins.length > 0) group(`wave ${index + 1}`, plugins)
  if (leftOut.length > 0) group('left out', leftOut)
  return lines.join('\n')
}
