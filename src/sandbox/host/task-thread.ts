/** The kernel's end of a thread that runs tasks: it hears what the thread tells beside its answers, and ends one that takes too much memory. */
import type { Worker } from 'node:worker_threads'
import type { Breach } from '../plugin-host.js'
import type { LogLevel } from '../protocol.js'
import type { TaskGreeting, TaskNotice } from '../task-wire.js'
import { WatchedThread } from '../watched-thread.js'
import { watchdog } from '../watchdog.js'
import { guard } from './guarded-worker.js'

/** Ends a thread, and with it the run that is under way there. */
export class TaskBreach extends Error {
  override readonly name = 'TaskBreach'
  readonly breach: Breach

  constructor(breach: Breach) {
    super(`${breach.limit}: ${breach.observed} of ${breach.allowed}`)
    this.breach = breach
  }
}

export interface TaskListener {
  log(level: LogLevel, message: string): void
  denied(resource: string, action: string, times: number): void
}

/** To be called when the thread has greeted, before it gets its first task. `memory`: MB; whoever takes more ends with a {@link TaskBreach}, the worker's 'error'. */
export const attend = (worker: Worker, { cells, asks, wire }: TaskGreeting, memory: number, listener: TaskListener): void => {
  guard(worker)
  for (const [stream, level] of [
    [worker.stdout, 'info'],
    [worker.stderr, 'error'],
  ] as const) {
    // What is written past the console, where there is no gate. Node would show it on the process's own streams.
    stream.unpipe()
    stream
      .setEncoding('utf8')
      .on('data', (text: string) => listener.log(level, text.replace(/\n$/, '')))
      .resume()
  }
  wire.on('message', (notice: TaskNotice) => {
    if (notice[0] === 'log') listener.log(notice[1], notice[2])
    else listener.denied(notice[1], notice[2], notice[3])
  })
  // Runs keep the process, not what is told of them.
  wire.unref()
  asks.unref()
  // To compute for long is what tasks are for.
  const limits = { memory, hang: Number.POSITIVE_INFINITY, cpu: Number.POSITIVE_INFINITY }
  const breached = (breach: Breach): void => {
    unwatch()
    worker.emit('error', new TaskBreach(breach))
  }
  const unwatch = watchdog.watch((at) => new WatchedThread({ worker, cells, asks }, limits, breached, at))
  worker.once('exit', unwatch)
}
