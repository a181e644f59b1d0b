/** Who in a plugin is to blame for a limit that it broke, read from its CPU profile. Loaded when there is one. */
import type { CpuProfile } from '../../sandbox/cpu-profile.js'
import { type HotSpot, hotSpots } from './hot-spots.js'
import { keepProfile } from './profile-folder.js'

export interface Guilt {
  /** The longest first. */
  frames: HotSpot[]
  /** The file that the whole profile was written to. */
  profile: string | undefined
}

export const guiltOf = async (
  profile: CpuProfile,
  { name, root }: { name: string; root: string },
  generation: number,
  folder: string,
): Promise<Guilt> => {
  const path = await keepProfile(folder, name, generation, profile)
  const frames = await hotSpots(profile, root)
  return { frames, profile: path }
}
