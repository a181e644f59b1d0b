/** A folder that one kernel at a time may write to: a file in it names the thread of that kernel. */
import { createHash } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../../wire-error.js'
import { type Holder, holderText, readHolder, stillRuns, thisThread } from './holder.js'

const LOCK = 'lock'

/** Holds that this thread has ended and whose file could not be removed. */
const ended = new Set<string>()

const isHeld = (holder: Holder): boolean => !ended.has(holder.token) && stillRuns(holder)

const textOf = (file: string): Promise<string | undefined> =>
  readFile(file, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })

/** Puts a file there, unless one is: whole at once, so that nobody reads half of it. */
const place = async (own: string, file: string, text: string): Promise<boolean> => {
  try {
    await link(own, file).catch((error: unknown) => {
      if (codeOf(error) === 'EEXIST') throw error
      // A file system without hard links.
      return writeFile(file, text, { flag: 'wx', mode: 0o600 })
    })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Has the file name this holder. Rejects, naming the process, while another one has it. */
const take = async (dir: string, name: string, own: string, text: string): Promise<void> => {
  const file = join(dir, name)
  while (!(await place(own, file, text))) {
    const there = await textOf(file)
    if (there === undefined) continue
    const holder = readHolder(there)
    if (holder && isHeld(holder)) {
      const who = holder.pid === process.pid ? 'another kernel of this process' : `process ${holder.pid}`
      throw new Error(`${who} writes to it already. Give each kernel an audit folder of its own (audit.dir)`)
    }
    await removeStale(dir, name, own, text, there)
  }
}

/** Of all that find the same stale file one removes it: whoever has the file that is named after it, and finds it still there then. */
const removeStale = async (dir: string, name: string, own: string, text: string, stale: string): Promise<void> => {
  const claim = `${LOCK}.${createHash('sha256').update(stale).digest('hex').slice(0, 16)}`
  await take(dir, claim, own, text)
  try {
    if ((await textOf(join(dir, name))) === stale) await rm(join(dir, name), { force: true })
  } finally {
    await letGo(join(dir, claim), text)
  }
}

/** Removes the file, if it is still that of this hold. */
const letGo = async (file: string, text: string): Promise<void> => {
  try {
    if ((await textOf(file)) === text) await rm(file)
  } catch (error) {
    const holder = readHolder(text)
    if (holder) ended.add(holder.token)
    throw error
  }
}

/** Whether a kernel has the folder now. */
export const isLocked = async (dir: string): Promise<boolean> => {
  const holder = readHolder((await textOf(join(dir, LOCK))) ?? '')
  return holder !== undefined && isHeld(holder)
}

/** Takes the folder and returns the undo. Rejects, naming the process, while another one has it. */
export const lockFolder = async (dir: string): Promise<() => Promise<void>> => {
  const holder = thisThread()
  const text = holderText(holder)
  const own = join(dir, `${LOCK}.${holder.token}`)
  try {
    await writeFile(own, text, { flag: 'wx', mode: 0o600 })
    await take(dir, LOCK, own, text)
  } finally {
    await rm(own, { force: true })
  }
  return () => letGo(join(dir, LOCK), text)
}
