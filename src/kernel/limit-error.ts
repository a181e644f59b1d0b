/** The error of a plugin that went past a limit: which, by how much, and what mends it. */
import { PlugbayError } from '../errors.js'
import type { Breach } from '../sandbox/plugin-host.js'
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
  unknown: 'its thread does not come back to its event loop. Look for a loop that never ends, or a call that blocks',
}

const text = (breach: Breach | Excess): string => {
  const { limit, allowed, observed } = breach
  switch (limit) {
    case 'memory':
      return (
        `used ${observed} MB of memory, its limit is ${allowed} MB (limits.memory)${breach.margin === undefined ? '' : `, and ${breach.margin} MB more for its process`}. ` +
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
    case 'subscriptions':
      return (
        `has ${observed} subscriptions with those that have ended and still handle events, its limit is ${allowed} (limits.subscriptions). ` +
        'Subscribe once to a pattern with wildcards, let handlers come to an end, or raise the limit.'
      )
  }
}

export const limitError = (plugin: string, generation: number, breach: Breach | Excess): PlugbayError =>
  new PlugbayError('PLUGIN_LIMIT', `Plugin '${plugin}' ${text(breach)}`, { plugin, details: { ...breach, generation } })
