/** The pools on which plugins run their declared tasks: one a generation, made at its first task. */
import { PlugbayError } from '../../errors.js'
import { didYouMean } from '../../nearest.js'
import { discard } from '../../sandbox/conversation/sealed.js'
import type { TaskInput } from '../../sandbox/protocol.js'
import type { Claim } from '../limits/room.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { explainShortage, noThreadForTasks } from '../text/system-limit.js'
import type { TaskOwner, TaskPool } from './task-pool.js'

/** Loaded when it is needed: most plugins have no tasks. */
const load = (): Promise<typeof import('./task-pool.js')> => import('./task-pool.js')

/** A module that could not be read once, for want of a descriptor say, this Node never reads again: it is loaded before. */
const READS_ONCE = Number.parseInt(process.versions.node, 10) < 22

export class TaskPools {
  readonly #pools = new Map<string, Promise<TaskPool>>()
  readonly #maxThreads: number

  /** `maxThreads`: of each pool. */
  constructor(maxThreads: number) {
    this.#maxThreads = maxThreads
  }

  /** A plugin with these tasks starts. */
  expect(tasks: PluginSource['tasks']): void {
    // What fails is told when it is needed.
    if (READS_ONCE && Object.keys(tasks).length > 0) load().catch(() => {})
  }

  /** Runs one task on `owner`'s pool. Rejects with TASK_UNKNOWN, with PERMISSION_DENIED, with SYSTEM_LIMIT, and as {@link TaskPool.run}. */
  async run(owner: TaskOwner, task: string, given: TaskInput, signal: AbortSignal, claim: Claim): Promise<unknown> {
    try {
      if (!Object.hasOwn(owner.source.tasks, task)) throw unknownTask(owner.source, task)
      owner.assertOpen()
      const pool = await this.#pool(owner)
      return await pool.run(task, given, signal, claim)
    } finally {
      // Of a run that was not begun.
      if ('sealed' in given) discard(given.sealed)
    }
  }

  #pool(owner: TaskOwner): Promise<TaskPool> {
    let pool = this.#pools.get(owner.label)
    if (pool === undefined) {
      const { name } = owner.source
      const making = load()
        .catch(explainShortage(name, noThreadForTasks(name)))
        .then(({ TaskPool: Pool }) => new Pool(owner, this.#maxThreads))
      // The next task tries again.
      making.catch(() => this.#pools.get(owner.label) === making && this.#pools.delete(owner.label))
      this.#pools.set(owner.label, making)
      pool = making
    }
    return pool
  }

  /** Ends an owner's pool, with what runs on it. */
  async close(label: string): Promise<void> {
    const pool = this.#pools.get(label)
    this.#pools.delete(label)
    // One that could not be made is none.
    await (await pool?.catch(() => undefined))?.close()
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
