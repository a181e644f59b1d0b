/** Which plugins can start, in which order, and for those that cannot, why. */
import { createRequire } from 'node:module'
import { PlugbayError } from '../../errors.js'
import { didYouMean } from '../../nearest.js'
import { unended } from '../../sentence.js'
import { fits } from '../../versions.js'

type Toposort = typeof import('toposort')

let loaded: Toposort | undefined

/** Loaded with the first plan, rather than by everybody who imports plugbay. */
const toposort = (): Toposort => (loaded ??= createRequire(import.meta.url)('toposort') as Toposort)

/** What the graph needs to know of a plugin. A manifest with its name and version is one. */
export interface GraphNode {
  name: string
  version: string
  dependencies?: Record<string, string> | undefined
  optionalDependencies?: Record<string, string> | undefined
  conflicts?: Record<string, string> | undefined
  /** False: counts as not there, and messages say that it is disabled. */
  enabled?: boolean | undefined
}

/** One required dependency that cannot be met. */
export interface MissingDependency {
  name: string
  range: string
  /** The version that is there, when it is outside the range. */
  version?: string
  disabled?: true
}

export interface Plan {
  /** Every plugin that can start, each after all it depends on. */
  readonly order: readonly string[]
  /** The same plugins in groups: those of one wave may start together once the wave before has started. Sorted by name within. */
  readonly waves: readonly (readonly string[])[]
  /** Every plugin that cannot start, and why. Disabled plugins are in neither. */
  readonly excluded: ReadonlyMap<string, PlugbayError>
  /** Optional dependencies left out of the order because they would have closed a circle: [plugin, what it would like first]. */
  readonly loosened: readonly (readonly [string, string])[]
  /** The plugins this one waits for, required and optional alike, sorted by name. */
  dependenciesOf(name: string): string[]
  /**
   * All plugins that need this one, directly or not, in the order to stop them: the last started first. Optional dependents are not among
   * them.
   */
  dependentsOf(name: string): string[]
}

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const quote = (name: string): string => `'${name}'`

/** Names shown of a longer path, at each end. */
const SHOWN_OF_PATH = 10

/** `a → b → a`; the middle of a very long one is left out. */
const drawPath = (path: readonly string[]): string => {
  if (path.length <= 2 * SHOWN_OF_PATH) return path.join(' → ')
  const left = path.length - 2 * SHOWN_OF_PATH
  return [...path.slice(0, SHOWN_OF_PATH), `… ${left} more …`, ...path.slice(-SHOWN_OF_PATH)].join(' → ')
}

const missingError = (node: GraphNode, missing: readonly MissingDependency[], names: readonly string[]): PlugbayError => {
  const reasons = missing.map(({ name, range, version, disabled }) => {
    const need = `${quote(name)} (${range})`
    if (disabled) return `${need} is disabled; enable it`
    if (version !== undefined) return `${need} is there in version ${version}, which is outside the range`
    return unended(
      `${need} is not there.${didYouMean(
        name,
        names.filter((each) => each !== node.name),
      )}`,
    )
  })
  const message =
    reasons.length === 1
      ? `Plugin ${quote(node.name)} needs a plugin it cannot have: ${reasons[0] ?? ''}.`
      : `Plugin ${quote(node.name)} needs ${reasons.length} plugins it cannot have:\n${reasons.map((reason) => `  - ${reason}`).join('\n')}`
  return new PlugbayError('DEPENDENCY_MISSING', message.replace(/\?\.$/, '?'), { plugin: node.name, details: { missing } })
}

/** The error of a plugin left out because another, which it needs directly or not, cannot run. `cause` is that one's own error. */
export const dependencyFailed = (name: string, root: string, cause: unknown): PlugbayError =>
  new PlugbayError('DEPENDENCY_FAILED', `Plugin ${quote(name)} was left out because ${quote(root)}, which it depends on, cannot run.`, {
    plugin: name,
    cause,
    details: { root },
  })

/** Plugins in groups of which each member reaches every other (Tarjan 1972), without recursion: chains may be long. */
const circles = (names: readonly string[], edges: (name: string) => readonly string[]): string[][] => {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const onStack = new Set<string>()
  const stack: string[] = []
  const groups: string[][] = []
  const lowest = (name: string, value: number): void => void low.set(name, Math.min(low.get(name) ?? value, value))
  for (const start of names) {
    if (index.has(start)) continue
    const work: { name: string; targets: readonly string[]; next: number }[] = []
    const enter = (name: string): void => {
      index.set(name, index.size)
      low.set(name, index.size - 1)
      stack.push(name)
      onStack.add(name)
      work.push({ name, targets: edges(name), next: 0 })
    }
    enter(start)
    for (let frame = work.at(-1); frame; frame = work.at(-1)) {
      const target = frame.targets[frame.next++]
      if (target !== undefined) {
        const seen = index.get(target)
        if (seen === undefined) enter(target)
        else if (onStack.has(target)) lowest(frame.name, seen)
        continue
      }
      work.pop()
      const parent = work.at(-1)
      if (parent) lowest(parent.name, low.get(frame.name) ?? 0)
      if (low.get(frame.name) !== index.get(frame.name)) continue
      const group: string[] = []
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        onStack.delete(member)
        group.push(member)
        if (member === frame.name) break
      }
      if (group.length > 1 || frame.targets.includes(frame.name)) groups.push(group.sort(byName))
    }
  }
  return groups
}

/** The shortest way from a plugin back to itself within a circle. */
const shortestCircle = (start: string, members: ReadonlySet<string>, edges: (name: string) => readonly string[]): string[] => {
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const name of queue) {
    for (const target of edges(name)) {
      if (target === start) {
        const path = [start]
        for (let at = name; at !== start; at = cameFrom.get(at) ?? start) path.push(at)
        return [...path, start].reverse()
      }
      if (!members.has(target) || cameFrom.has(target)) continue
      cameFrom.set(target, name)
      queue.push(target)
    }
  }
  return [start]
}

const cycleErrors = (group: readonly string[], edges: (name: string) => readonly string[]): Map<string, PlugbayError> => {
  const members = new Set(group)
  const errors = new Map<string, PlugbayError>()
  for (const start of group) {
    if (errors.has(start)) continue
    const path = shortestCircle(start, members, edges)
    const message =
      path.length === 2
        ? `Plugin ${quote(start)} depends on itself.`
        : `Plugins depend on each other in a circle: ${drawPath(path)}. Make one of these dependencies optional, or move what they share into a plugin of its own.`
    for (const name of path) {
      if (!errors.has(name)) errors.set(name, new PlugbayError('DEPENDENCY_CYCLE', message, { plugin: name, details: { path } }))
    }
  }
  return errors
}

/** The wave of each plugin: 0 for one that waits for nobody, else one after the latest it waits for. The edges must hold no circle. */
const levels = (names: readonly string[], waitsFor: ReadonlyMap<string, readonly string[]>): Map<string, number> => {
  const waiting = new Map(names.map((name) => [name, waitsFor.get(name)?.length ?? 0]))
  const followers = new Map<string, string[]>()
  for (const name of names) {
    for (const target of waitsFor.get(name) ?? []) {
      const list = followers.get(target)
      if (list) list.push(name)
      else followers.set(target, [name])
    }
  }
  const level = new Map<string, number>()
  let wave = names.filter((name) => waiting.get(name) === 0)
  for (let depth = 0; wave.length > 0; depth++) {
    const next: string[] = []
    for (const name of wave) {
      level.set(name, depth)
      for (const follower of followers.get(name) ?? []) {
        const left = (waiting.get(follower) ?? 0) - 1
        waiting.set(follower, left)
        if (left === 0) next.push(follower)
      }
    }
    wave = next
  }
  return level
}

/** toposort walks by recursion: a chain longer than this is put in order by its waves instead of overflowing the stack. */
const MAX_DEPTH = 2_000

const startOrder = (
  names: readonly string[],
  waitsFor: ReadonlyMap<string, readonly string[]>,
  waves: readonly (readonly string[])[],
): string[] => {
  if (waves.length > MAX_DEPTH) return waves.flat()
  const edges = names.flatMap((name) => (waitsFor.get(name) ?? []).map((target): [string, string] => [target, name]))
  return toposort().array([...names], edges)
}

/** Works out a plan step by step: what cannot start is taken out, with all that needs it, before the next rule is applied. */
class Planner {
  readonly #nodes: ReadonlyMap<string, GraphNode>
  readonly #names: readonly string[]
  readonly #needs = new Map<string, string[]>()
  readonly #neededBy = new Map<string, string[]>()
  readonly excluded = new Map<string, PlugbayError>()
  readonly loosened: [string, string][] = []

  constructor(nodes: ReadonlyMap<string, GraphNode>) {
    this.#nodes = nodes
    this.#names = Array.from(nodes.keys())
      .filter((name) => nodes.get(name)?.enabled !== false)
      .sort(byName)
    for (const name of this.#names) {
      const needs = Object.keys(nodes.get(name)?.dependencies ?? {}).sort(byName)
      this.#needs.set(name, needs)
      for (const target of needs) {
        const list = this.#neededBy.get(target)
        if (list) list.push(name)
        else this.#neededBy.set(target, [name])
      }
    }
  }

  run(): Plan {
    this.#leaveOutMissing()
    this.#leaveOutCircles()
    this.#leaveOutConflicts()
    const names = this.#remaining()
    const waitsFor = this.#edges(names)
    const level = levels(names, waitsFor)
    const waves: string[][] = []
    for (const name of names) {
      const wave = level.get(name) ?? 0
      waves[wave] ??= []
      waves[wave].push(name)
    }
    const order = startOrder(names, waitsFor, waves)
    const position = new Map(order.map((name, index) => [name, index]))
    return {
      order,
      waves,
      excluded: this.excluded,
      loosened: this.loosened,
      dependenciesOf: (name) => [...(waitsFor.get(name) ?? [])],
      dependentsOf: (name) => {
        const found = new Set([name])
        for (const each of found) for (const next of this.#neededBy.get(each) ?? []) if (position.has(next)) found.add(next)
        found.delete(name)
        return [...found].sort((a, b) => (position.get(b) ?? 0) - (position.get(a) ?? 0))
      },
    }
  }

  #remaining(): string[] {
    return this.#names.filter((name) => !this.excluded.has(name))
  }

  /** The plugin of that name, if it is to start as far as is known by now. */
  #present(name: string): GraphNode | undefined {
    const node = this.#nodes.get(name)
    return node && node.enabled !== false && !this.excluded.has(name) ? node : undefined
  }

  /** Takes out plugins for reasons of their own, and all that need them for theirs: the nearest, and of those the first by name. */
  #leaveOut(roots: ReadonlyMap<string, PlugbayError>): void {
    for (const [name, error] of roots) this.excluded.set(name, error)
    const queue = Array.from(roots.keys(), (name) => ({ name, root: name }))
    for (const { name, root } of queue) {
      for (const dependent of this.#neededBy.get(name) ?? []) {
        if (this.excluded.has(dependent)) continue
        this.excluded.set(dependent, dependencyFailed(dependent, root, roots.get(root)))
        queue.push({ name: dependent, root })
      }
    }
  }

  #leaveOutMissing(): void {
    const roots = new Map<string, PlugbayError>()
    for (const name of this.#names) {
      const node = this.#nodes.get(name)
      if (!node) continue
      const missing = (this.#needs.get(name) ?? []).flatMap((target): MissingDependency[] => {
        const range = node.dependencies?.[target] ?? '*'
        const there = this.#nodes.get(target)
        if (!there) return [{ name: target, range }]
        if (there.enabled === false) return [{ name: target, range, version: there.version, disabled: true }]
        return fits(there.version, range) ? [] : [{ name: target, range, version: there.version }]
      })
      if (missing.length > 0) roots.set(name, missingError(node, missing, this.#names))
    }
    this.#leaveOut(roots)
  }

  #leaveOutCircles(): void {
    const needs = (name: string): string[] => (this.#needs.get(name) ?? []).filter((target) => this.#present(target))
    const groups = circles(this.#remaining(), needs).sort(([a = ''], [b = '']) => byName(a, b))
    this.#leaveOut(new Map(groups.flatMap((group) => [...cycleErrors(group, needs)])))
  }

  #conflict(name: string, other: string): string | undefined {
    const range = this.#nodes.get(name)?.conflicts?.[other]
    const there = this.#present(other)
    return range !== undefined && there && fits(there.version, range) ? range : undefined
  }

  #leaveOutConflicts(): void {
    for (const name of this.#names) {
      for (const other of Object.keys(this.#nodes.get(name)?.conflicts ?? {}).sort(byName)) {
        if (other === name || !this.#present(name) || this.#conflict(name, other) === undefined) continue
        const mutual = this.#conflict(other, name) !== undefined
        const [loser, winner] = mutual && byName(other, name) > 0 ? [other, name] : [name, other]
        const versions = { [loser]: this.#nodes.get(loser)?.version ?? '', [winner]: this.#nodes.get(winner)?.version ?? '' }
        const range = this.#conflict(loser, winner) ?? ''
        const message =
          `Plugin ${quote(loser)} ${versions[loser] ?? ''} cannot run beside ${quote(winner)} ${versions[winner] ?? ''}: ` +
          `${mutual ? 'they exclude each other' : 'it excludes'} (${range}). ${quote(loser)} was left out; disable ${quote(winner)} to run it instead.`
        this.#leaveOut(
          new Map([
            [loser, new PlugbayError('DEPENDENCY_CONFLICT', message, { plugin: loser, details: { with: winner, range, versions } })],
          ]),
        )
      }
    }
  }

  /** Who waits for whom: required dependencies, and optional ones that are there, in range, and close no circle. */
  #edges(names: readonly string[]): Map<string, string[]> {
    const required = new Map(names.map((name) => [name, this.#needs.get(name) ?? []]))
    const all = new Map<string, string[]>()
    for (const name of names) {
      const needs = required.get(name) ?? []
      const likes = Object.entries(this.#nodes.get(name)?.optionalDependencies ?? {}).flatMap(([target, range]) => {
        const there = target === name ? undefined : this.#present(target)
        return there && fits(there.version, range) ? [target] : []
      })
      all.set(name, [...new Set([...needs, ...likes])].sort(byName))
    }
    const groups = circles(names, (name) => all.get(name) ?? [])
    if (groups.length === 0) return all
    // Within a circle, an optional dependency holds where it agrees with the order that the required ones ask for anyway.
    const level = levels(names, required)
    const before = (a: string, b: string): boolean => {
      const difference = (level.get(a) ?? 0) - (level.get(b) ?? 0)
      return difference === 0 ? byName(a, b) < 0 : difference < 0
    }
    for (const group of groups) {
      const members = new Set(group)
      for (const name of group) {
        const needs = new Set(required.get(name))
        const kept = (all.get(name) ?? []).filter((target) => needs.has(target) || !members.has(target) || before(target, name))
        for (const target of all.get(name) ?? []) if (!kept.includes(target)) this.loosened.push([name, target])
        all.set(name, kept)
      }
    }
    this.loosened.sort(([a, b], [c, d]) => byName(a, c) || byName(b, d))
    return all
  }
}

/**
 * Plans the start of a set of plugins. Never throws: a plugin that cannot start is in `excluded` with its error.
 *
 * - DEPENDENCY_MISSING lists every required dependency that is not there, out of range, or disabled.
 * - DEPENDENCY_CYCLE for the members of a circle of required dependencies. Optional ones are given up first.
 * - DEPENDENCY_CONFLICT for the plugin that declares the conflict; if both do, for the later by name.
 * - DEPENDENCY_FAILED for all that need one of these; `cause` is the root's own error.
 *
 * The plan does not depend on the order the plugins are given in. Linear in plugins and edges, so cheap enough to be made
 * anew at every change.
 */
export const plan = (plugins: Iterable<GraphNode>): Plan => {
  const nodes = new Map<string, GraphNode>()
  for (const node of plugins) if (!nodes.has(node.name)) nodes.set(node.name, node)
  return new Planner(nodes).run()
}
