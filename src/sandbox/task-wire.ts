/** What the two ends of a thread that runs tasks say to each other beside piscina's own messages. */
import type { MessagePort } from 'node:worker_threads'
import type { LoadRequest, LogLevel } from './protocol.js'

/** Whose tasks a thread runs, and what its gate opens: given to it as it is made. */
export type TaskIdentity = Pick<LoadRequest, 'name' | 'root' | 'grants' | 'pluginModule'> & { learning: boolean }

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
export interface TaskRun {
  /** file: URL of the task's module. */
  file: string
  input: unknown
}

export type TaskNotice =
  | ['log', level: LogLevel, message: string]
  | ['denied', resource: string, action: string, times: number]
  /** While permissions are learnt. */
  | ['used', resource: string, action: string]
