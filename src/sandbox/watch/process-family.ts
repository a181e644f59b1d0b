/**
 * What a process has started and they in turn, also where those between them have ended: then the system hands them to somebody above.
 * Linux alone says it.
 */
import { now } from '../clock.js'
import { procText } from './process-stat.js'
import { statFields, threadsOf } from './thread-cpu.js'

/** Where a line of /proc tells a process's parent and its group, after the name. */
const PARENT = 1
const GROUP = 2
/** Milliseconds for which those that were handed on are as good as new: whoever looks, they are the same. */
const AS_GOOD_AS_NEW = 500

/** Of the thread with this place in /proc: what others of its process have started is not among them. */
const startedBy = (thread: string): number[] => procText(`${thread}/children`).split(' ').filter(Boolean).map(Number)

/** Whoever is handed on has the first thread of a process for a parent. */
const handedTo = (pid: number): number[] => startedBy(`/proc/${pid}/task/${pid}`)

const childrenOf = (pid: number): number[] => {
  try {
    return threadsOf(pid).flatMap(startedBy)
  } catch {
    return [] // for want of a descriptor
  }
}

const fieldOf = (pid: number, field: number): number => Number(statFields(procText(`/proc/${pid}/stat`))[field])

/** This process and those above it: one of them gets whom a parent leaves behind. */
const heirs = (): number[] => {
  const pids: number[] = []
  for (let pid = process.pid; pid > 0; pid = fieldOf(pid, PARENT)) pids.push(pid)
  return pids
}

/** The groups of all children of the heirs, so that none is asked twice. */
let groups = new Map<number, number>()
let orphans = new Map<number, number[]>()
let lookedAt = -Infinity

const look = (): void => {
  const before = groups
  groups = new Map(
    heirs()
      .flatMap(handedTo)
      .map((pid) => [pid, before.get(pid) ?? fieldOf(pid, GROUP)]),
  )
  orphans = new Map()
  for (const [pid, group] of groups) {
    if (pid === group) continue
    const others = orphans.get(group)
    if (others === undefined) orphans.set(group, [pid])
    else others.push(pid)
  }
}

/** Who is left in the group of a process, which it leads, without a parent of their own. */
export const orphansOf = (leader: number): readonly number[] => {
  const at = now()
  if (at - lookedAt >= AS_GOOD_AS_NEW) {
    lookedAt = at
    look()
  }
  return orphans.get(leader) ?? []
}

const lineOf = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(lineOf)]

/** The process and all that came of it and is in its group, or has a parent that is; itself first. */
export const familyOf = (pid: number): number[] => [pid, ...orphansOf(pid)].flatMap(lineOf)
