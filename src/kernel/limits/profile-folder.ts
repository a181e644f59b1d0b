/** Where the CPU profiles of plugins that went past a limit are kept: the newest ones, one file each, which DevTools open. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CpuProfile } from '../../sandbox/cpu-profile.js'

/** So many files are kept, of all plugins together. */
export const KEPT = 20

const ENDING = '.cpuprofile'

/** Names that sort by time. */
const nameFor = (plugin: string, generation: number): string =>
  `${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${plugin.replaceAll(/[^\w.-]/g, '_')}-${generation}${ENDING}`

/** Resolves with the file's path; undefined where nothing can be written: what it would have told more of must be told all the same. */
export const keepProfile = async (folder: string, plugin: string, generation: number, profile: CpuProfile): Promise<string | undefined> => {
  const path = join(folder, nameFor(plugin, generation))
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(path, JSON.stringify(profile))
    const kept = (await readdir(folder)).filter((name) => name.endsWith(ENDING)).sort()
    await Promise.all(kept.slice(0, -KEPT).map((name) => rm(join(folder, name), { force: true })))
    return path
  } catch {
    return undefined
  }
}
