/** The pools on which plugins run their declared tasks: stateless CPU work, one pool a generation, made at its first task. */
import type { Piscina } from 'piscina'
import { PlugbayError, reasonOf } from '../errors.js'
import { limiter } from '../limiter.js'
import { didYouMean } from '../nearest.js'
import { isTypeScript, runsTypeScript } from '../strip-types.js'
import type { PluginSource } from './manifest.js'

/** Milliseconds an idle task thread is kept. */
const IDLE = 10_000

const REGISTER_HOOKS = new URL('../sandbox/register-hooks.js', import.meta.url).href

interface Pool {
  piscina: Piscina
  /** Holds one task to the number that may run at once. */
  limits: Map<string, <T>(act: () => Promise<T>) => Promise<T>>
}

export class TaskPools {
  readonly #pools = new Map<string, Promise<Pool>>()
  readonly #maxThreads: number

  constructor(maxThreads: number) {
    this.#maxThreads = maxThreads
  }

  /** Runs one task on `owner`'s pool. Rejects with TASK_UNKNOWN, TASK_FAILED (cause: what the task threw), or CALL_CANCELLED. */
  async run(owner: string, source: PluginSource, task: string, input: unknown, signal: AbortSignal): Promise<unknown> {
    const found = source.tasks[task]
    if (found === undefined) throw unknownTask(source, task)
    const { piscina, limits } = await this.#pool(owner, source)
    const limit = limits.get(task)
    const run = (): Promise<unknown> => piscina.run(input, { filename: found.file, signal })
    try {
      return await (limit ? limit(run) : run())
    } catch (error) {
      if (signal.aborted)
        throw new PlugbayError('CALL_CANCELLED', `Task '${task}' of plugin '${source.name}' was cancelled.`, {
          plugin: source.name,
          cause: error,
        })
      throw new PlugbayError('TASK_FAILED', `Task '${task}' of plugin '${source.name}' failed: ${reasonOf(error)}`, {
        plugin: source.name,
        cause: error,
      })
    }
  }

  #pool(owner: string, source: PluginSource): Promise<Pool> {
    let pool = this.#pools.get(owner)
    if (pool === undefined) {
      pool = this.#make(source)
      this.#pools.set(owner, pool)
    }
    return pool
  }

  async #make(source: PluginSource): Promise<Pool> {
    const { Piscina: PiscinaPool } = await import('piscina')
    const tasks = Object.entries(source.tasks)
    const needsHooks = !runsTypeScript && tasks.some(([, { file }]) => isTypeScript(file))
    const piscina = new PiscinaPool({
      minThreads: 0,
      maxThreads: this.#maxThreads,
      idleTimeout: IDLE,
      // The default would freeze an idle worker's event loop.
      atomics: 'disabled',
      ...(needsHooks ? { execArgv: ['--import', REGISTER_HOOKS] } : {}),
    })
    const limited = tasks.filter(([, { concurrency }]) => concurrency !== undefined)
    return { piscina, limits: new Map(limited.map(([task, { concurrency = this.#maxThreads }]) => [task, limiter(concurrency)])) }
  }

  /** Ends an owner's pool, with what runs on it. */
  async close(owner: string): Promise<void> {
    const pool = this.#pools.get(owner)
    this.#pools.delete(owner)
    await (await pool)?.piscina.destroy()
  }
}

const unknownTask = (source: PluginSource, task: string): PlugbayError => {
  const names = Object.keys(source.tasks)
  const there = names.length > 0 ? `It declares: ${names.join(', ')}.` : 'Declare it under "tasks" in its plugin.json.'
  return new PlugbayError('TASK_UNKNOWN', `Plugin '${source.name}' has no task '${task}'.${didYouMean(task, names)} ${there}`, {
    plugin: source.name,
    details: { task, tasks: names },
  })
}
