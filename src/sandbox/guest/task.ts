/** The guest's end of a thread that runs tasks: piscina's worker loads it as it boots, and runs each task of the plugin through it. */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { MessageChannel, parentPort, type Transferable, threadId, workerData } from 'node:worker_threads'
import { Denials } from '../../denials.js'
import { PlugbayError } from '../../errors.js'
import { markOf, type TransferMark } from '../../passing.js'
import { toWire } from '../../wire-error.js'
import { movedWith, open, seal, WORTH_SEALING } from '../conversation/sealed.js'
import { assertMovable } from '../lines/moved-streams.js'
import { LogBudget } from '../log/log-budget.js'
import { lineOf } from '../log/log-line.js'
import type { LogLevel } from '../protocol.js'
import { newCells } from '../pulse.js'
import type { TaskAnswer, TaskGreeting, TaskIdentity, TaskNotice, TaskRun } from '../task-wire.js'
import { type Sent, uncloneable, weighed } from '../values/sendable.js'
import { holdsRegExp } from '../values/uncloneable-part.js'
import { captureConsole } from './console.js'
import { boundCrash } from './crash.js'
import { protect } from './doors/lock.js'
import { closeGate } from './gate.js'
import { startHeart } from './heartbeat.js'
import { prepareModules } from './module-hooks.js'

type Task = (input: unknown) => unknown

const { name, root, packages, grants, pluginModule, learning, beyond } = workerData as TaskIdentity
const pulse = new MessageChannel()
const wire = new MessageChannel()
const cells = newCells()

const tell = (notice: TaskNotice): void => wire.port1.postMessage(notice)
const budget = new LogBudget(1, (message) => tell(['log', 'warn', message]))
const output = (level: LogLevel, text: string): void => {
  const { message, size } = lineOf(text, undefined)
  if (budget.takes(size)) tell(['log', level, message])
}
/** For the audit, at a bearable rate. */
const denials = new Denials((resource, action, unsaid) => tell(['denied', resource, action, unsaid + 1]))
const denied = (resource: string, action: string): void => {
  try {
    denials.add(resource, action)
  } catch {
    // A task has broken what this takes: it is refused all the same.
  }
}

let closed = false

/** At the first task: before, piscina's worker has yet to say on the thread's own port that it is ready. */
const close = (): void => {
  const plugin = { name, root, packages, pluginModule, needsHooks: false }
  if (grants === undefined) return prepareModules(plugin)
  const used = learning ? (resource: string, action: string): void => tell(['used', resource, action]) : undefined
  closeGate({ plugin, grants, tell: denied, used, output })
  // What piscina's worker takes from the realm at each run: changed, it would be handed the runs of others.
  protect(Map.prototype)
  protect(Atomics)
  for (const module of Object.values(createRequire(import.meta.url).cache)) Object.freeze(module?.exports)
}

const tasks = new Map<string, Task>()

const taskOf = async (file: string): Promise<Task> => {
  const known = tasks.get(file)
  if (known) return known
  const { default: exported } = (await import(file)) as { default?: unknown }
  // A CommonJS module that was made from an ES module has its default export in there.
  const task = typeof exported === 'object' && exported !== null && 'default' in exported ? exported.default : exported
  if (typeof task !== 'function') throw new TypeError(`${fileURLToPath(file)} has no function as its default export.`)
  tasks.set(file, task as Task)
  return task as Task
}

/** By these piscina, whose threads they are, knows what it is to move. */
const MOVED = Symbol.for('Piscina.transferable')
const VALUE = Symbol.for('Piscina.valueOf')

/** What a task answers, and what of it moves rather than being copied: it says so with `transfer()`, or as it would to piscina. */
const unwrapped = (result: unknown): [value: unknown, moved: readonly Transferable[]] => {
  if (typeof result !== 'object' || result === null) return [result, []]
  if (markOf(result) === 'transfer') {
    const { value, objects } = result as TransferMark
    return [value, objects as Transferable[]]
  }
  if (!(MOVED in result && VALUE in result)) return [result, []]
  const moved = result[MOVED] as Transferable | Transferable[]
  return [result[VALUE], Array.isArray(moved) ? moved : [moved]]
}

const asResult = (): Sent => ({ name: 'Its result', root: 'result', about: { plugin: name } })

/**
 * What is large waits in a port, or in bytes, for who asked: the main thread of the process, which would do nothing else while it read it,
 * hands it on. What is small is copied here all the same: what cannot be copied would end the thread where piscina posts it.
 */
const answered = (run: number, result: unknown): TaskAnswer => {
  const [value, moved] = unwrapped(result)
  assertMovable(moved as readonly object[], 'Its result', name)
  const large = weighed(value, asResult, moved) >= WORTH_SEALING || moved.length > 0
  try {
    const copy: unknown = large ? value : structuredClone(value)
    // By a getter that answers otherwise the second time it may be large only now. Sealed, a RegExp is refused with where it is.
    if (!large && !holdsRegExp(copy) && weighed(copy, asResult) < WORTH_SEALING) return { value: copy }
    const sealed = seal(copy, beyond, moved)
    wire.port1.postMessage(['answer', run, sealed] satisfies TaskNotice, movedWith(sealed))
    return { sealed: true }
  } catch (error) {
    throw PlugbayError.is(error) ? error : uncloneable(value, asResult(), error)
  }
}

/**
 * What piscina's worker calls, and whose answer it clones. Rejects with a WireError: a clone of an error would lose its code and its
 * plugin.
 */
export const runTask = async ({ number, file, ...given }: TaskRun): Promise<TaskAnswer> => {
  try {
    if (!closed) close()
    closed = true
    const task = await taskOf(file)
    return answered(number, await task('sealed' in given ? open(given.sealed) : given.input))
  } catch (error) {
    throw toWire(error) // oxlint-disable-line typescript/only-throw-error
  }
}

process.setSourceMapsEnabled(true)
startHeart({ cells, port: pulse.port1 })
captureConsole(output)
process.on('uncaughtExceptionMonitor', boundCrash)
const greeting: TaskGreeting = { threadId, cells, asks: pulse.port2, wire: wire.port2 }
parentPort?.postMessage(greeting, [pulse.port2, wire.port2])
