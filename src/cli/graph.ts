/** `plugbay graph`: who waits for whom, as text, Mermaid or DOT. */
import type { PlugbayError } from '../errors.js'
import { type TerminalStyle, terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { visible, visibleLine } from '../kernel/text/visible-text.js'
import { type PlaceOptions, type Project, type ProjectPlugin, readProject } from './project.js'

/** How it is drawn. */
export type Format = 'text' | 'mermaid' | 'dot'

export interface GraphOptions extends PlaceOptions {
  format: Format
}

/** One arrow of the graph: `from` needs `to`. */
interface Edge {
  from: string
  to: string
  kind: 'needs' | 'likes' | 'excludes'
}

const edgesOf = ({ source: { name, manifest } }: ProjectPlugin): Edge[] => [
  ...Object.keys(manifest.dependencies).map((to): Edge => ({ from: name, to, kind: 'needs' })),
  ...Object.keys(manifest.optionalDependencies).map((to): Edge => ({ from: name, to, kind: 'likes' })),
  ...Object.keys(manifest.conflicts).map((to): Edge => ({ from: name, to, kind: 'excludes' })),
]

/** A plugin that would not start. */
interface LeftOut {
  name: string
  /** Undefined: its manifest cannot be read. */
  version: string | undefined
  /** Undefined: it is disabled. */
  error: PlugbayError | undefined
}

const leftOut = ({ plugins, unread }: Project): LeftOut[] => [
  ...plugins.filter(({ wave }) => wave === undefined).map(({ source: { name, version }, error }) => ({ name, version, error })),
  ...unread.map(({ name, error }) => ({ name, version: undefined, error })),
]

const asText = (project: Project, style: TerminalStyle): string => {
  const byName = new Map(project.plugins.map((plugin) => [plugin.source.name, plugin]))
  const loosened = new Set(project.loosened.map(([from, to]) => `${from} ${to}`))
  const relations = (plugin: ProjectPlugin): string => {
    const parts = edgesOf(plugin).map(({ from, to, kind }) => {
      if (kind === 'excludes') return `excludes ${to}`
      if (kind === 'needs') return to
      if (!byName.has(to)) return `${to} (optional, not there)`
      return loosened.has(`${from} ${to}`) ? `${to} (optional, not waited for: it would close a circle)` : `${to} (optional)`
    })
    return parts.length === 0 ? '' : ` ${style.dim('←')} ${parts.join(', ')}`
  }
  const group = (title: string, entries: readonly string[]): string[] => [
    style.dim(title),
    ...entries.map((entry, index) => `${style.dim(index === entries.length - 1 ? '└─' : '├─')} ${entry}`),
  ]
  const named = (name: string, version: string | undefined): string =>
    `${style.bold(visibleLine(name))}${version === undefined ? '' : ` ${style.dim(version)}`}`
  const out = leftOut(project)
  const why = ({ error }: LeftOut): string =>
    error
      ? ` ${style.red(error.code)} ${visible(error.message)
          .split('\n')
          .map((line) => line.trim())
          .join(' ')}`
      : ' disabled'
  const lines = [
    ...project.waves.flatMap((names, wave) =>
      group(
        `wave ${wave + 1}`,
        names
          .flatMap((name) => byName.get(name) ?? [])
          .map((plugin) => named(plugin.source.name, plugin.source.version) + relations(plugin)),
      ),
    ),
    ...(out.length > 0
      ? group(
          'left out',
          out.map((each) => named(each.name, each.version) + why(each)),
        )
      : []),
  ]
  return lines.length === 0 ? 'no plugins' : lines.join('\n')
}

/** Whatever is there, also what cannot be read. */
const namesIn = ({ plugins, unread }: Project): string[] => [...plugins.map(({ source }) => source), ...unread].map(({ name }) => name)

/** Every name in the graph, also of plugins that are needed and not there, with a plain id. */
const idsOf = (project: Project): Map<string, string> => {
  const names = [...namesIn(project), ...project.plugins.flatMap(edgesOf).map(({ to }) => to)]
  return new Map([...new Set(names)].map((name, index) => [name, `p${index}`]))
}

const asMermaid = (project: Project): string => {
  const ids = idsOf(project)
  // Below its name what is known of it: the version, or why there is none.
  const known = new Map([
    ...project.plugins.map(({ source }) => [source.name, source.version] as const),
    ...project.unread.map(({ name, error }) => [name, error.code] as const),
  ])
  const node = (name: string): string => `${ids.get(name)}["${name}${known.has(name) ? `<br/>${known.get(name)}` : ''}"]`
  const lines = ['flowchart BT']
  for (const [wave, names] of project.waves.entries()) {
    lines.push(`  subgraph wave${wave + 1}["wave ${wave + 1}"]`, ...names.map((name) => `    ${node(name)}`), '  end')
  }
  const absent = [...ids.keys()].filter((name) => !known.has(name))
  lines.push(...leftOut(project).map(({ name }) => `  ${node(name)}:::out`), ...absent.map((name) => `  ${node(name)}:::absent`))
  const arrows = { needs: '-->', likes: '-.->', excludes: '-- excludes --x' }
  for (const { from, to, kind } of project.plugins.flatMap(edgesOf)) lines.push(`  ${ids.get(from)} ${arrows[kind]} ${ids.get(to)}`)
  if (leftOut(project).length > 0) lines.push('  classDef out stroke:#c33,stroke-dasharray:4')
  if (absent.length > 0) lines.push('  classDef absent stroke:#999,color:#999,stroke-dasharray:2')
  return lines.join('\n')
}

const asDot = (project: Project): string => {
  const known = new Set(namesIn(project))
  const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`
  const lines = ['digraph plugbay {', '  rankdir=BT', '  node [shape=box, style=rounded]']
  for (const names of project.waves) lines.push(`  { rank=same; ${names.map(quote).join('; ')} }`)
  const box = (name: string, below: string, runs: boolean): string =>
    `  ${quote(name)} [label=${quote(name).slice(0, -1)}\\n${below}"${runs ? '' : ', color=red, style="rounded,dashed"'}]`
  for (const { source, wave, placement, error } of project.plugins) {
    const fate = wave === undefined ? (error?.code ?? 'disabled') : placement.isolation
    lines.push(box(source.name, `${source.version} · ${fate}`, wave !== undefined))
  }
  lines.push(...project.unread.map(({ name, error }) => box(name, error.code, false)))
  const edges = project.plugins.flatMap(edgesOf)
  for (const name of new Set(edges.map(({ to }) => to)))
    if (!known.has(name)) lines.push(`  ${quote(name)} [color=gray, fontcolor=gray, style="rounded,dotted"]`)
  const styles = { needs: '', likes: ' [style=dashed]', excludes: ' [color=red, arrowhead=tee, label="excludes"]' }
  for (const { from, to, kind } of edges) lines.push(`  ${quote(from)} -> ${quote(to)}${styles[kind]}`)
  lines.push('}')
  return lines.join('\n')
}

export const graph = async (folder: string, options: GraphOptions): Promise<void> => {
  const project = await readProject(folder, options)
  const drawn = {
    text: () => asText(project, terminalStyle(wantsColor(process.stdout))),
    mermaid: () => asMermaid(project),
    dot: () => asDot(project),
  }[options.format]()
  process.stdout.write(`${drawn}\n`)
}
