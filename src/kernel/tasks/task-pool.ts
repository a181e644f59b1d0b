/** The pool on which one generation of a plugin runs its tasks: stateless CPU work, in threads that are held as the plugin's own is. */
import { pathToFileURL } from 'node:url'
import { Piscina } from 'piscina'
import { PlugbayError } from '../../errors.js'
import { type Limiter, limiter } from '../../limiter.js'
import { boxedSealed, discard, movedWith, type Sealed } from '../../sandbox/conversation/sealed.js'
import { guestFile } from '../../sandbox/host/guest-file.js'
import { outlasts } from '../../sandbox/host/patience.js'
import { HOOKS, permissionFlags } from '../../sandbox/host/permission-flags.js'
import { HARD_HEAP_MB, THREAD_FLAGS } from '../../sandbox/host/standby.js'
import { TaskBreach, type TaskListener, TaskThread } from '../../sandbox/host/task-thread.js'
import type { Grants } from '../../sandbox/permissions/grants.js'
import type { TaskInput } from '../../sandbox/protocol.js'
import { shortageOf } from '../../sandbox/shortage.js'
import type { TaskAnswer, TaskGreeting, TaskIdentity, TaskRun } from '../../sandbox/task-wire.js'
import { fromWire, reasonOf, type WireError } from '../../wire-error.js'
import { taskLimitError } from '../limits/limit-error.js'
import type { Claim } from '../limits/room.js'
import type { PluginSource, TaskSource } from '../manifest/plugin-source.js'
import { PLUGIN_MODULE } from '../modules/module-access.js'
import { noThreadForTasks, systemLimit } from '../text/system-limit.js'

/** Milliseconds an idle thread is kept. */
const IDLE = 10_000

/** Whose tasks a pool runs, and who hears of them. */
export interface TaskOwner extends Omit<TaskListener, 'answer'> {
  /** No other generation has it. */
  label: string
  generation: number
  source: PluginSource
  /** What the gate of its threads opens; undefined: they have none. */
  grants: Grants | undefined
  /** Throws PERMISSION_DENIED where they are closed to it. */
  assertOpen(): void
  /** See `LoadRequest`. */
  packages: readonly string[]
  /** Whether what its tasks use is recorded. */
  learning: boolean
  /** It is in another process. */
  beyond: boolean
  /** MB that one of its threads may take. */
  memory: number
  /** A thread of it was ended: by a limit, or by what its tasks left behind. */
  fault(error: PlugbayError): void
}

export class TaskPool {
  readonly #owner: TaskOwner
  readonly #listener: TaskListener
  readonly #piscina: Piscina
  readonly #maxThreads: number
  readonly #threads = new Map<number, TaskThread>()
  /** Threads that were told to end and are still there, without those that a run keeps its place for. */
  readonly #leaving = new Set<Promise<unknown>>()
  /** Runs wait here: those that wait in piscina itself for a thread that ends by another run would wait for ever. */
  readonly #turn: Limiter
  /** Of a task, how many may run at once. */
  readonly #turns: Map<string, Limiter>
  /** Who waits for the answers of the runs under way, should they come sealed. */
  readonly #answers = new Map<number, (answer: Sealed) => void>()
  /** What ended threads that had come up. */
  readonly #thrown = new WeakSet<Error>()
  #last = 0
  /** Why there is no thread: none came up when one was last needed. */
  #unmade: PlugbayError | undefined

  constructor(owner: TaskOwner, maxThreads: number) {
    const { source, grants, packages, learning, beyond } = owner
    const { name, root, tasks } = source
    const identity: TaskIdentity = { name, root, packages, grants, pluginModule: PLUGIN_MODULE, learning, beyond }
    this.#owner = owner
    this.#listener = { ...owner, answer: (run, answer) => this.#answered(run, answer) }
    this.#maxThreads = maxThreads
    this.#turn = limiter(maxThreads)
    const limited = Object.entries(tasks).filter(([, { concurrency }]) => concurrency !== undefined)
    this.#turns = new Map(limited.map(([task, { concurrency = maxThreads }]) => [task, limiter(concurrency)]))
    this.#piscina = new Piscina({
      filename: guestFile('task.cjs'),
      name: 'runTask',
      workerData: identity,
      minThreads: 0,
      maxThreads,
      idleTimeout: IDLE,
      // The default would freeze an idle worker's event loop.
      atomics: 'disabled',
      execArgv: [...THREAD_FLAGS, ...(grants ? permissionFlags(grants, { root, packages }) : HOOKS)],
      resourceLimits: { maxOldGenerationSizeMb: HARD_HEAP_MB },
    })
    this.#piscina
      .on('message', (greeting: TaskGreeting | null) => this.#greeted(greeting))
      .on('workerDestroy', ({ id }: { id: number }) => this.#leaves(this.#threads.get(id)))
      .on('error', (error: unknown) => this.#lost(error))
  }

  /**
   * Its answer is a {@link Boxed} where it is large. Rejects with TASK_FAILED (cause: what the task threw, or a PLUGIN_LIMIT), or
   * CALL_CANCELLED.
   */
  async run(task: string, given: TaskInput, signal: AbortSignal, claim: Claim): Promise<unknown> {
    const { source } = this.#owner
    const plugin = source.name
    const number = ++this.#last
    const sealed = new Promise<Sealed>((resolve) => this.#answers.set(number, resolve))
    const order: TaskRun = { number, file: pathToFileURL((source.tasks[task] as TaskSource).file).href, ...given }
    const transferList = 'sealed' in given ? movedWith(given.sealed) : []
    const run = async (): Promise<unknown> => {
      const answer = (await this.#piscina.run(order, { signal, transferList })) as TaskAnswer
      if ('value' in answer) return answer.value
      const large = await sealed
      // While it does not read what it has been answered, no thread of it begins another run.
      if (large instanceof Uint8Array) await claim.grow(large.length)
      return boxedSealed(large)
    }
    try {
      return await this.#inPlace(task, run, signal)
    } catch (error) {
      void sealed.then(discard)
      if (signal.aborted)
        throw new PlugbayError('CALL_CANCELLED', `Task '${task}' of plugin '${plugin}' was cancelled.`, { plugin, cause: error })
      const cause = error instanceof TaskBreach ? this.#broken(error, task) : (this.#unmade ?? this.#noThread(error) ?? causeOf(error))
      throw new PlugbayError('TASK_FAILED', `Task '${task}' of plugin '${plugin}' failed: ${reasonOf(cause)}`, { plugin, cause })
    } finally {
      this.#answers.delete(number)
    }
  }

  #leaves(thread: TaskThread | undefined): void {
    if (thread === undefined) return
    void thread.ended()
    const { gone } = thread
    this.#leaving.add(gone)
    void gone.then(() => this.#leaving.delete(gone))
  }

  /**
   * What the run comes to. Its place is kept for longer where threads do not end, as native calls go on in them: as many of these may be
   * replaced as the pool has threads, so that one holds nobody up, and no more, or each run that is given up would leave one.
   */
  #inPlace(task: string, run: () => Promise<unknown>, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const act = async (): Promise<void> => {
        const placed = !signal.aborted
        await run().then(resolve, reject)
        const [gone] = this.#leaving
        if (!placed || gone === undefined || this.#leaving.size <= this.#maxThreads) return
        this.#leaving.delete(gone)
        await gone
      }
      const turn = this.#turns.get(task)
      const begin = (): Promise<void> => this.#turn(act, signal)
      ;(turn ? turn(begin, signal) : begin()).catch(reject)
    })
  }

  /** Of a run that is over, nobody wants it. */
  #answered(run: number, answer: Sealed): void {
    const take = this.#answers.get(run) ?? discard
    take(answer)
  }

  /** A thread has booted; it gets its first task after this. What a task without a gate posts to its parent comes here, too. */
  #greeted(greeting: TaskGreeting | null): void {
    const worker = this.#piscina.threads.find(({ threadId }) => threadId === greeting?.threadId)
    if (worker === undefined || greeting === null || this.#threads.has(greeting.threadId)) return
    const { threadId } = greeting
    this.#unmade = undefined
    this.#threads.set(threadId, new TaskThread(worker, greeting, this.#owner.memory, this.#listener))
    worker.once('exit', () => this.#threads.delete(threadId))
    worker.prependOnceListener('error', (error: unknown) => error instanceof Error && this.#thrown.add(error))
  }

  /** Returns what it tells. `task`: that the thread ran, if it did. */
  #broken({ breach }: TaskBreach, task?: string): PlugbayError {
    const { source, generation } = this.#owner
    const error = taskLimitError(source.name, generation, task, breach)
    this.#owner.fault(error)
    return error
  }

  /** A thread has ended, and there is no run to be told. */
  #lost(error: unknown): void {
    if (error instanceof TaskBreach) this.#broken(error)
    else {
      const why = this.#noThread(error) ?? this.#ended(error)
      this.#owner.fault(why)
      // If it did not come up, another would not either: what waits for one fails.
      if (this.#piscina.threads.length === 0) this.#unmade = why
    }
    if (this.#piscina.threads.length === 0) void this.#piscina.destroy()
  }

  /**
   * Where it was not made for want of something. What a task throws is no error here, and what it lets escape is of a thread that was made,
   * whatever it says.
   */
  #noThread(error: unknown): PlugbayError | undefined {
    const plugin = this.#owner.source.name
    const shortage = error instanceof Error && !this.#thrown.has(error) ? shortageOf(error) : undefined
    return shortage && systemLimit(plugin, shortage, error, noThreadForTasks(plugin))
  }

  #ended(error: unknown): PlugbayError {
    const plugin = this.#owner.source.name
    const why = `A thread for tasks of plugin '${plugin}' ended while it ran none: ${reasonOf(causeOf(error))}`
    return new PlugbayError('TASK_FAILED', why, { plugin, cause: error })
  }

  /** Ends all that runs. Resolves when the threads are gone, or after 2 s. */
  async close(): Promise<void> {
    const gone = this.#piscina.destroy()
    // Those that end by a cancelled run are not the pool's any more.
    await Promise.all([outlasts(gone), ...[...this.#threads.values()].map((thread) => thread.ended())])
  }
}

/** Piscina's own words for it. */
const EXITED = /^worker exited with code: (\d+)$/

/** What the guest throws is told as plain data. */
const causeOf = (error: unknown): Error => {
  if (!(error instanceof Error)) return fromWire(error as WireError)
  const code = EXITED.exec(error.message)?.[1]
  return code === undefined
    ? error
    : new Error(`its thread exited with code ${code}. Let a task return or throw, and not call process.exit().`)
}
