/** The pools on which plugins run their declared tasks: one a generation, made at its first task. */
import { PlugbayError } from '../errors.js'
import { didYouMean } from '../nearest.js'
import type { TaskInput } from '../sandbox/protocol.js'
import { discard } from '../sandbox/sealed.js'
import type { PluginSource } from './manifest.js'
import type { TaskOwner, TaskPool } from './task-pool.js'

export class TaskPools {
  readonly #pools = new Map<string, Promise<TaskPool>>()
  readonly #maxThreads: number

  /** `maxThreads`: of each pool. */
  constructor(maxThreads: number) {
    this.#maxThreads = maxThreads
  }

  /** Runs one task on `owner`'s pool. Rejects with TASK_UNKNOWN, and as {@link TaskPool.run}. */
  async run(owner: TaskOwner, task: string, given: TaskInput, signal: AbortSignal): Promise<unknown> {
    try {
      if (!Object.hasOwn(owner.source.tasks, task)) throw unknownTask(owner.source, task)
      const pool = await this.#pool(owner)
      return await pool.run(task, given, signal)
    } finally {
      // Of a run that was not begun.
      if ('sealed' in given) discard(given.sealed)
    }
  }

  #pool(owner: TaskOwner): Promise<TaskPool> {
    let pool = this.#pools.get(owner.label)
    if (pool === undefined) {
      // Loaded when it is needed: most plugins have no tasks.
      pool = import('./task-pool.js').then(({ TaskPool: Pool }) => new Pool(owner, this.#maxThreads))
      this.#pools.set(owner.label, pool)
    }
    return pool
  }

  /** Ends an owner's pool, with what runs on it. */
  async close(label: string): Promise<void> {
    const pool = this.#pools.get(label)
    this.#pools.delete(label)
    await (await pool)?.close()
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
