/** Which of a plugin's functions a CPU profile blames. */

import { relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { CpuProfile, ProfileNode } from '../../sandbox/cpu-profile.js'
import { namesMap, type Position } from '../../source-map.js'
import { within } from '../../within.js'
import { WorkThread } from '../modules/work-thread.js'
import type { Mapped, Place } from './map-thread.js'

export interface HotSpot {
  function: string
  /** Relative to the plugin's folder where it lies in it. */
  file: string
  /** From 1: where most of the time went, as far as the function itself took it. */
  line: number
  /** Of the time in which the thread ran code, from 0 to 1. */
  share: number
}

/** Milliseconds: its plugin runs on meanwhile. */
const LIMIT = 1_000

/** A map is as long as who wrote it likes. Where it takes too long, places are told as they run. */
const thread = new WorkThread<Mapped, (Position | undefined)[]>(new URL('./map-thread.js', import.meta.url), () => LIMIT)

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
 * The plugin's functions by the time that went into them, the longest first. Time in Node's own code, in a package or in a regular expression counts as
 * that of the function of the plugin that called for it.
 */
export const hotSpots = async (profile: CpuProfile, root: string): Promise<HotSpot[]> => {
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
  const places = hottest.map(placeOf)
  const mapped = places.some(({ url }) => namesMap(url, root)) ? await thread.do({ root, places }, root) : undefined
  return hottest.map(({ node: { callFrame }, ticks }, index) => {
    const { url, line } = mapped?.[index] ?? (places[index] as Place)
    return {
      function: callFrame.functionName.slice(0, LONGEST_NAME) || '(anonymous)',
      file: fileOf(url, root),
      line,
      share: Math.round((ticks / total) * 100) / 100,
    }
  })
}

const placeOf = ({ node: { callFrame }, lines }: Blamed): Place => {
  const [hottest] = [...lines].sort(([, a], [, b]) => b - a)
  const head = callFrame.lineNumber + 1
  const line = hottest?.[0] ?? head
  // A profile counts lines of a head, and its columns, from 0.
  return { url: callFrame.url, line, ...(line === head && { column: callFrame.columnNumber + 1 }) }
}

const fileOf = (url: string, root: string): string => {
  if (!url.startsWith('file:')) return url
  const path = fileURLToPath(url)
  return within(root, path) ? relative(root, path) : path
}
