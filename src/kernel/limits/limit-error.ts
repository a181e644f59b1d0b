/** The error of a plugin that went past a limit: which, by how much, and what mends it. */
import { PlugbayError } from '../../errors.js'
import type { HeapReport } from '../../sandbox/heap-report.js'
import type { Breach, HostKind } from '../../sandbox/plugin-host.js'
import type { Guilt } from './guilt.js'
import type { Excess } from './quota.js'

const HELD: Record<NonNullable<Breach['how']>, string> = {
  spinning:
    'its thread computes and does not come back to its event loop. Look for a loop, a regular expression or a chain of promises that never ends',
  'native computation':
    'its thread computes in native code, which nothing interrupts. Look for one large JSON.parse, sort, hash or compression, and do it in pieces or in a task',
  blocked:
    'its thread is blocked in a native call. Look for a synchronous call that waits (a file, a child process), and use the one that does not',
  waiting: 'its thread waits in Atomics.wait. Use Atomics.waitAsync, or give it a timeout',
  computing: 'its thread computes and does not come back to its event loop. Look for a loop that never ends, or one large native call',
  'blocked or waiting': 'its thread is blocked in a native call or in Atomics.wait. Use the call that does not block',
  'in a message':
    'it has sent the kernel a part of a message and not the rest, after which nothing it says can be read. Look for what writes to descriptor 3 of its process, which is the wire to the kernel, or blocks its thread',
  stopped: 'its process, or one that it has started, was stopped by a signal or a debugger. Let it go on (SIGCONT)',
  unknown: 'its thread does not come back to its event loop. Look for a loop that never ends, or a call that blocks',
}

/** What its memory is: objects or buffers, and what gives a leak away. */
const madeOf = (report: HeapReport | undefined): string => {
  if (report === undefined) return ''
  const { heap, external, arrayBuffers, spaces, detachedContexts } = report
  const largest = Object.entries(spaces ?? {}).slice(0, 2)
  const inSpaces = largest.length > 0 ? ` (${largest.map(([name, size]) => `${name} ${size} MB`).join(', ')})` : ''
  // What a Blob keeps, Node counts among these, and V8 not as held by the thread.
  const buffers = arrayBuffers === undefined || arrayBuffers > external ? '' : ` (array buffers ${arrayBuffers} MB)`
  const detached = detachedContexts > 0 ? ` ${detachedContexts} contexts of node:vm are detached and still held.` : ''
  return `${heap} MB are in its heap${inSpaces}, ${external} MB outside of it${buffers}.${detached} `
}

/** Its heap does not show it, so it has to be said what to look for. */
const notCounted = ({ uncounted, unread }: Breach): string =>
  unread !== undefined
    ? `${unread} MB of it were written to it, and it has not read them. `
    : uncounted === undefined
      ? ''
      : `V8 counts ${uncounted} MB of it nowhere: Blobs, messages that wait in a MessagePort, resizable or shared buffers, memory of WebAssembly. `

/** MB as TB. */
const inTB = (size: number): number => Math.round(size / 2 ** 20)

/** They are the process's, and no limit in a manifest gives more. */
const crowded = (memories: number, { allowed, observed }: Breach): string =>
  `keeps some ${memories} memories of WebAssembly. Each takes some 10 GB of addresses, however little is in it, and ${inTB(observed)} of the 128 TB that the process has are taken, more than the ${inTB(allowed)} TB that are left to plugins. ` +
  'Keep fewer at a time, or run it in a process of its own ("isolation": "process").'

const text = (breach: Breach | Excess): string => {
  const { limit, allowed, observed } = breach
  switch (limit) {
    case 'memory':
      if (breach.memories !== undefined) return crowded(breach.memories, breach)
      return (
        `used ${observed} MB of memory, its limit is ${allowed} MB (limits.memory)${breach.margin === undefined ? '' : `, and ${breach.margin} MB more for its process`}. ${madeOf(breach.heap)}${notCounted(breach)}` +
        'Look for what keeps growing in it, such as a cache or a queue without an end, or raise the limit.'
      )
    case 'hang':
      return `got nothing done for ${observed} ms, its limit is ${allowed} ms (limits.hang): ${HELD[breach.how ?? 'unknown']}, or raise the limit.`
    case 'cpu':
      return (
        `took ${observed} of a core over seconds, also with a lower priority; its limit is ${allowed} (limits.cpu). ` +
        'Look for work that is done more often than needed, or raise the limit.'
      )
    case 'requests':
      return (
        `asked the kernel for ${observed} things beside events and calls, more than its limit of ${allowed} a second allows (limits.requests; a request for a service counts as ten). ` +
        'Look for a loop that subscribes, unsubscribes, provides, uses or watches again and again, and keep what the first time gave, or raise the limit.'
      )
    case 'overlap':
      return (
        `has patterns that match an event on '${breach.topic}', or its beginning, in ${observed} ways; its limit is ${allowed} (limits.overlap), as each costs the kernel's thread time for each event. ` +
        'Subscribe to one pattern that covers the others and tell events apart by their type, give them one capacity, or raise the limit.'
      )
    case 'subscriptions':
      return (
        `has ${observed} subscriptions with those that have ended and still handle events, its limit is ${allowed} (limits.subscriptions). ` +
        'Subscribe once to a pattern with wildcards, let handlers come to an end, or raise the limit.'
      )
  }
}

/** Of one that computes: in which function. */
const where = (breach: Breach | Excess, kind: HostKind, guilt: Guilt | undefined): string => {
  const hottest = guilt?.frames[0]
  const file = guilt?.profile === undefined ? '' : ` The whole CPU profile, for DevTools: ${guilt.profile}`
  if (hottest !== undefined)
    return ` Before that, ${Math.round(hottest.share * 100)} % of the time in its code went into '${hottest.function}' (${hottest.file}:${hottest.line}).${file}`
  if (file !== '') return file
  if (breach.limit !== 'hang' || (breach.how !== 'spinning' && breach.how !== 'computing')) return ''
  if (guilt !== undefined) return ' In which function cannot be told: nothing in its profile says so.'
  const why =
    kind === 'thread' ? 'it did not answer the profiler, which Node opens to the kernel from version 24 on' : 'processes are not profiled'
  return ` In which function cannot be told: ${why}.`
}

/** Without what was recorded. */
const observedIn = (breach: Breach | Excess): object => {
  const { profile: _, ...observed } = { profile: undefined, ...breach }
  return observed
}

/** Of a thread of its tasks; `task`: that ran there, where one did. */
export const taskLimitError = (plugin: string, generation: number, task: string | undefined, breach: Breach): PlugbayError => {
  const who = task === undefined ? `What is left of tasks of plugin '${plugin}'` : `Task '${task}' of plugin '${plugin}'`
  return new PlugbayError('PLUGIN_LIMIT', `${who} ${text(breach)}`, { plugin, details: { ...observedIn(breach), task, generation } })
}

export const limitError = (plugin: string, generation: number, kind: HostKind, breach: Breach | Excess, guilt?: Guilt): PlugbayError =>
  new PlugbayError('PLUGIN_LIMIT', `Plugin '${plugin}' ${text(breach)}${where(breach, kind, guilt)}`, {
    plugin,
    details: { ...observedIn(breach), generation, ...guilt },
  })
