/** The memory of a process and of all that it has started, looked at from outside: what is busy cannot tell. */
import { readFileSync } from 'node:fs'

/** Milliseconds between two looks. */
const INTERVAL = 50
const PAGE_BYTES = 4_096
const MB = 1_024 * 1_024

const read = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // it has ended
  }
}

const pagesOf = (pid: number): number => {
  const own = Number(read(`/proc/${pid}/statm`).split(' ')[1] ?? 0)
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return children.reduce((sum, child) => sum + pagesOf(child), own)
}

/** MB that the process and its children have in memory. 0 where the system does not say (it is not Linux), or it has ended. */
const residentMemory = (pid: number): number => (pagesOf(pid) * PAGE_BYTES) / MB

/** Looks until it is undone; calls `exceeded` once, with the MB observed. */
export const watchMemory = (pid: number, limit: number, exceeded: (observed: number) => void): (() => void) => {
  const timer = setInterval(() => {
    const observed = residentMemory(pid)
    if (observed <= limit) return
    clearInterval(timer)
    exceeded(Math.round(observed))
  }, INTERVAL)
  timer.unref()
  return () => clearInterval(timer)
}
