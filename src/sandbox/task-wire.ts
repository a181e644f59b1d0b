/** What the two ends of a thread that runs tasks say to each other beside piscina's own messages. */
import type { MessagePort } from 'node:worker_threads'
import type { Sealed } from './conversation/sealed.js'
import type { LoadRequest, LogLevel, TaskInput } from './protocol.js'

/** Whose tasks a thread runs, and what its gate opens: given to it as it is made. */
export type TaskIdentity = Pick<LoadRequest, 'name' | 'root' | 'packages' | 'grants' | 'pluginModule'> & {
  learning: boolean
  /** Its plugin, which gets what the tasks answer, is in another process. */
  beyond: boolean
}

/** What a thread hands over as it boots, before any code of the plugin. */
export interface TaskGreeting {
  threadId: number
  /** Its signs of life, and where it is asked for them. */
  cells: Int32Array
  asks: MessagePort
  /** Where it tells {@link TaskNotice}s. */
  wire: MessagePort
}

/** One run of one task. */
export type TaskRun = TaskInput & {
  /** No other run of the pool has it. */
  number: number
  /** file: URL of the task's module. */
  file: string
}

/** What piscina carries back. A large answer goes beside it: nobody in the kernel's thread is to read it. */
export type TaskAnswer = { value: unknown } | { sealed: true }

export type TaskNotice =
  | [told: 'log', level: LogLevel, message: string]
  | [told: 'denied', resource: string, action: string, times: number]
  /** What the run of that number answers. */
  | [told: 'answer', run: number, answer: Sealed]
  /** While permissions are learnt. */
  | [told: 'used', resource: string, action: string]
