/** The pools on which plugins run their declared tasks: stateless CPU work, one pool a generation, made at its first task. */
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Piscina } from 'piscina'
import { fromWire, PlugbayError, reasonOf, type WireError } from '../errors.js'
import { type Limiter, limiter } from '../limiter.js'
import { didYouMean } from '../nearest.js'
import type { Grants } from '../sandbox/grants.js'
import { outlasts } from '../sandbox/host/patience.js'
import { HOOKS, permissionFlags } from '../sandbox/host/permission-flags.js'
import { HARD_HEAP_MB } from '../sandbox/host/standby.js'
import { TaskBreach, type TaskListener, TaskThread } from '../sandbox/host/task-thread.js'
import type { TaskGreeting, TaskIdentity, TaskRun } from '../sandbox/task-wire.js'
import { taskLimitError } from './limit-error.js'
import type { PluginSource } from './manifest.js'
import { PLUGIN_MODULE } from './module-access.js'

/** Milliseconds an idle task thread is kept. */
const IDLE = 10_000

const GUEST = fileURLToPath(new URL('../sandbox/guest/task.cjs', import.meta.url))

/** Whose tasks a pool runs, and who hears of them. */
export interface TaskOwner extends TaskListener {
  /** No other generation has it. */
  label: string
  generation: number
  source: PluginSource
  /** What the gate of its threads opens; undefined: they have none. */
  grants: Grants | undefined
  /** MB that one of its threads may take. */
  memory: number
  /** A thread of it was ended: by a limit, or by what its tasks left behind. */
  fault(error: PlugbayError): void
}

interface Pool {
  piscina: Piscina
  /** Runs wait here: those that wait in piscina itself for a thread that ends by another run would wait for ever. */
  turn: Limiter
  /** Holds one task to the number that may run at once. */
  limits: Map<string, Limiter>
}

export class TaskPools {
  readonly #pools = new Map<string, Promise<Pool>>()
  readonly #maxThreads: number

  constructor(maxThreads: number) {
    this.#maxThreads = maxThreads
  }

  /** Runs one task on `owner`'s pool. Rejects with TASK_UNKNOWN, TASK_FAILED (cause: what the task threw, or a PLUGIN_LIMIT), or CALL_CANCELLED. */
  async run(owner: TaskOwner, task: string, input: unknown, signal: AbortSignal): Promise<unknown> {
    const { source } = owner
    const plugin = source.name
    const found = source.tasks[task]
    if (found === undefined) throw unknownTask(source, task)
    const { piscina, turn, limits } = await this.#pool(owner)
    const limit = limits.get(task)
    const order: TaskRun = { file: pathToFileURL(found.file).href, input }
    const run = (): Promise<unknown> => turn(() => piscina.run(order, { signal }), signal)
    try {
      return await (limit ? limit(run, signal) : run())
    } catch (error) {
      if (signal.aborted)
        throw new PlugbayError('CALL_CANCELLED', `Task '${task}' of plugin '${plugin}' was cancelled.`, { plugin, cause: error })
      const cause = causeOf(owner, task, error)
      throw new PlugbayError('TASK_FAILED', `Task '${task}' of plugin '${plugin}' failed: ${reasonOf(cause)}`, { plugin, cause })
    }
  }

  #pool(owner: TaskOwner): Promise<Pool> {
    let pool = this.#pools.get(owner.label)
    if (pool === undefined) {
      pool = this.#make(owner)
      this.#pools.set(owner.label, pool)
    }
    return pool
  }

  async #make(owner: TaskOwner): Promise<Pool> {
    const { Piscina: PiscinaPool } = await import('piscina')
    const { source, grants, memory } = owner
    const { name, root } = source
    const identity: TaskIdentity = { name, root, grants, pluginModule: PLUGIN_MODULE }
    const piscina = new PiscinaPool({
      filename: GUEST,
      name: 'runTask',
      workerData: identity,
      minThreads: 0,
      maxThreads: this.#maxThreads,
      idleTimeout: IDLE,
      // The default would freeze an idle worker's event loop.
      atomics: 'disabled',
      execArgv: ['--disable-warning=ExperimentalWarning', ...(grants ? permissionFlags(grants, { root, places: [] }) : HOOKS)],
      resourceLimits: { maxOldGenerationSizeMb: HARD_HEAP_MB },
    })
    // A thread greets before it is ready, and gets its first task after that.
    const threads = new Map<number, TaskThread>()
    piscina.on('message', (greeting: TaskGreeting | null) => {
      const worker = piscina.threads.find(({ threadId }) => threadId === greeting?.threadId)
      // What a task without a gate posts there comes here too.
      if (worker === undefined || greeting === null || threads.has(greeting.threadId)) return
      threads.set(greeting.threadId, new TaskThread(worker, greeting, memory, owner))
      worker.once('exit', () => threads.delete(greeting.threadId))
    })
    piscina.on('workerDestroy', ({ id }: { id: number }) => void threads.get(id)?.ended())
    piscina.on('error', (error: unknown) => {
      causeOf(owner, undefined, error)
      // It did not come up, and another would not either: what waits for it fails.
      if (piscina.threads.length === 0) void piscina.destroy()
    })
    const limited = Object.entries(source.tasks).filter(([, { concurrency }]) => concurrency !== undefined)
    return {
      piscina,
      turn: limiter(this.#maxThreads),
      limits: new Map(limited.map(([task, { concurrency = this.#maxThreads }]) => [task, limiter(concurrency)])),
    }
  }

  /** Ends an owner's pool, with what runs on it. Resolves when its threads are gone, or after 2 s. */
  async close(label: string): Promise<void> {
    const pool = this.#pools.get(label)
    this.#pools.delete(label)
    if (pool !== undefined) await outlasts((await pool).piscina.destroy())
  }
}

/** Why a run failed; where it is news to others than the one who asked for it, they are told. */
const causeOf = ({ source: { name }, generation, fault }: TaskOwner, task: string | undefined, error: unknown): Error => {
  if (error instanceof TaskBreach) {
    const broken = taskLimitError(name, generation, task, error.breach)
    fault(broken)
    return broken
  }
  // What the guest throws is told as plain data.
  const cause = error instanceof Error ? error : fromWire(error as WireError)
  if (task === undefined)
    fault(
      new PlugbayError('TASK_FAILED', `A thread for tasks of plugin '${name}' ended while it ran none: ${reasonOf(cause)}`, {
        plugin: name,
        cause,
      }),
    )
  return cause
}

const unknownTask = (source: PluginSource, task: string): PlugbayError => {
  const names = Object.keys(source.tasks)
  const there = names.length > 0 ? `It declares: ${names.join(', ')}.` : 'Declare it under "tasks" in its plugin.json.'
  return new PlugbayError('TASK_UNKNOWN', `Plugin '${source.name}' has no task '${task}'.${didYouMean(task, names)} ${there}`, {
    plugin: source.name,
    details: { task, tasks: names },
  })
}
