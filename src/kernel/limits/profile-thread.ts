/** The thread that reads CPU profiles and source maps, which are as long as who is profiled, and who wrote them, likes. */
import { type RecordedCpu, readProfile } from '../../sandbox/cpu-profile.js'
import { namesMap, type Position, sourceMapOf, type WrittenAt } from '../../source-map.js'
import { workWith } from '../modules/at-work.js'
import { type Hottest, hottestIn, type Place } from './hot-spots.js'
import { keepProfile } from './profile-folder.js'

/** What is wanted: the functions that a profile blames, or where places in modules of a plugin were written. */
export type ProfileWork =
  | { wanted: 'hottest'; recorded: RecordedCpu; root: string; folder: string; plugin: string; generation: number }
  | { wanted: 'positions'; root: string; places: Place[] }

export interface ProfileRead {
  hottest: Hottest[]
  /** The file that the whole profile was written to. */
  path: string | undefined
  /** A source map may tell where they were written. */
  mapped: boolean
}

workWith(async (work: ProfileWork): Promise<ProfileRead | (Position | undefined)[]> => {
  const { root } = work
  if (work.wanted === 'hottest') {
    const { recorded, folder, plugin, generation } = work
    const profile = readProfile(recorded)
    const hottest = hottestIn(profile, root)
    const path = await keepProfile(folder, plugin, generation, profile)
    return { hottest, path, mapped: hottest.some(({ place }) => namesMap(place.url, root)) }
  }
  const maps = new Map<string, WrittenAt | undefined>()
  return work.places.map(({ url, line, column }) => {
    if (!maps.has(url)) maps.set(url, sourceMapOf(url, root))
    return maps.get(url)?.(line, column)
  })
})
