/** Who in a plugin is to blame for a limit that it broke, read from its CPU profile. Loaded when there is one. */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RecordedCpu } from '../../sandbox/cpu-profile.js'
import type { Position } from '../../source-map.js'
import { within } from '../../within.js'
import { WorkThread } from '../modules/work-thread.js'
import type { ProfileRead, ProfileWork } from './profile-thread.js'

export interface HotSpot {
  function: string
  /** Relative to the plugin's folder where it lies in it. */
  file: string
  /** From 1: where most of the time went, as far as the function itself took it. */
  line: number
  /** Of the time in which the thread ran code, from 0 to 1. */
  share: number
}

export interface Guilt {
  /** The longest first. */
  frames: HotSpot[]
  /** The file that the whole profile was written to. */
  profile: string | undefined
}

/** Milliseconds: of any profile, or of its source maps. The plugin runs on meanwhile. */
const LIMIT = 1_000
/** … and of each so many characters of a profile. */
const CHARACTERS = 10_000

const thread = new WorkThread<ProfileWork, ProfileRead | (Position | undefined)[]>(
  new URL('./profile-thread.js', import.meta.url),
  (work) => LIMIT + (work.wanted === 'hottest' ? work.recorded.text.length / CHARACTERS : 0),
)

const fileOf = (url: string, root: string): string => {
  if (!url.startsWith('file:')) return url
  const path = fileURLToPath(url)
  return within(root, path) ? relative(root, path) : path
}

/** Nobody's where it takes too long to read. Where only its source maps do, places are told as they run. */
export const guiltOf = async (
  recorded: RecordedCpu,
  { name, root }: { name: string; root: string },
  generation: number,
  folder: string,
): Promise<Guilt> => {
  const read = (await thread.do({ wanted: 'hottest', recorded, root, folder, plugin: name, generation }, root)) as ProfileRead | undefined
  if (read === undefined) return { frames: [], profile: undefined }
  const { hottest, path, mapped } = read
  const places = hottest.map(({ place }) => place)
  const positions = mapped
    ? ((await thread.do({ wanted: 'positions', root, places }, root)) as (Position | undefined)[] | undefined)
    : undefined
  const frames = hottest.map(({ place, ...spot }, index): HotSpot => {
    const { url, line } = positions?.[index] ?? place
    return { ...spot, file: fileOf(url, root), line }
  })
  return { frames, profile: path }
}
