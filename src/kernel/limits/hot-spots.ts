/** Which of a plugin's functions a CPU profile blames. */
import { sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { CpuProfile, ProfileNode } from '../../sandbox/cpu-profile.js'
import type { Position } from '../../source-map.js'

/** Where code runs; without a column, the first code of the line is meant. */
export interface Place extends Omit<Position, 'column'> {
  column?: number
}

export interface Hottest {
  function: string
  /** Where most of the time went, as far as the function itself took it. */
  place: Place
  /** Of the time in which the thread ran code, from 0 to 1. */
  share: number
}

/** So many are told of. */
const MOST = 5
/** Characters of a function's name: it is what the plugin likes. */
const LONGEST_NAME = 200

/** V8's own entries: time that is no function's. */
const NO_CODE = new Set(['(root)', '(program)', '(idle)', '(garbage collector)'])

interface Blamed {
  node: ProfileNode
  ticks: number
  lines: Map<number, number>
}

/**
 * The plugin's functions by the time that went into them, the longest first. Time in Node's own code, in a package or in a regular
 * expression counts as that of the function of the plugin that called for it.
 */
export const hottestIn = (profile: CpuProfile, root: string): Hottest[] => {
  const folder = pathToFileURL(root + sep).href
  const own = ({ callFrame: { url } }: ProfileNode): boolean => url.startsWith(folder) && !url.includes('/node_modules/')
  const callers = new Map<number, ProfileNode>()
  for (const node of profile.nodes) for (const child of node.children ?? []) callers.set(child, node)

  const blamed = new Map<string, Blamed>()
  let total = 0
  for (const node of profile.nodes) {
    const ticks = node.hitCount ?? 0
    if (ticks === 0 || NO_CODE.has(node.callFrame.functionName)) continue
    total += ticks
    let owner: ProfileNode | undefined = node
    while (owner !== undefined && !own(owner)) owner = callers.get(owner.id)
    if (owner === undefined && node.callFrame.url === '') continue
    const { callFrame } = owner ?? node
    const key = `${callFrame.functionName} ${callFrame.url}:${callFrame.lineNumber}:${callFrame.columnNumber}`
    const blame = blamed.get(key) ?? { node: owner ?? node, ticks: 0, lines: new Map<number, number>() }
    blamed.set(key, blame)
    blame.ticks += ticks
    if (owner === undefined || owner === node)
      for (const { line, ticks: at } of node.positionTicks ?? []) blame.lines.set(line, (blame.lines.get(line) ?? 0) + at)
  }
  const hottest = [...blamed.values()].sort((a, b) => b.ticks - a.ticks).slice(0, MOST)
  return hottest.map((blame) => ({
    function: blame.node.callFrame.functionName.slice(0, LONGEST_NAME) || '(anonymous)',
    place: placeOf(blame),
    share: Math.round((blame.ticks / total) * 100) / 100,
  }))
}

const placeOf = ({ node: { callFrame }, lines }: Blamed): Place => {
  const [hottest] = [...lines].sort(([, a], [, b]) => b - a)
  const head = callFrame.lineNumber + 1
  const line = hottest?.[0] ?? head
  // A profile counts lines of a head, and its columns, from 0.
  return { url: callFrame.url, line, ...(line === head && { column: callFrame.columnNumber + 1 }) }
}
