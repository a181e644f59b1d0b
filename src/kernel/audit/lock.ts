/** A folder that one process at a time may write to: a file in it names that process. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What this process holds: after a crash its number may be another's, and in a container it often is. */
const held = new Set<string>()

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Takes the folder and returns the undo. Rejects, naming the process, while another one has it. */
export const lockFolder = async (dir: string): Promise<() => Promise<void>> => {
  const file = join(dir, 'lock')
  const inUse = (pid: number): Error =>
    new Error(`process ${pid} writes to it already. Give each kernel an audit folder of its own (audit.dir)`)
  if (held.has(file)) throw inUse(process.pid)
  held.add(file)
  try {
    const owner = await readFile(file, 'utf8').then(Number, () => undefined)
    if (owner !== undefined) {
      if (owner > 0 && owner !== process.pid && lives(owner)) throw inUse(owner)
      await rm(file, { force: true })
    }
    await writeFile(file, `${process.pid}\n`, { flag: 'wx' })
  } catch (error) {
    held.delete(file)
    throw error
  }
  return async () => {
    held.delete(file)
    await rm(file, { force: true })
  }
}
