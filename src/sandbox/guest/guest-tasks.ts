/**
 * A plugin's own end of its tasks: asks the kernel to run them. What is large goes sealed, as the kernel's thread has no use for what is in
 * it.
 */
import { argumentInvalid, optionsFault, shown } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { limiter } from '../../limiter.js'
import { CALL_OPTIONS } from '../../service-options.js'
import { isOwn } from '../../wire-error.js'
import { AT_ONCE } from '../conversation/at-once.js'
import { discard, movedWith, seal, WORTH_SEALING } from '../conversation/sealed.js'
import type { Conversation, RequestOptions } from '../rpc.js'
import { cloneSize } from '../values/clone-size.js'
import { type Sent, uncloneable, weighed } from '../values/sendable.js'

type RunOptions = Pick<RequestOptions, 'timeout' | 'signal'>

const inputOf = (task: string): Sent => ({ name: `The input of task ${shown(task)}`, root: 'input' })

/** It is the kernel that was asked, for the task's sake. */
const ofTask = (plugin: string, task: string, input: unknown, error: unknown): unknown => {
  if (!isOwn(error)) return error
  const about = { plugin, details: { ...error.details, task }, cause: error.cause }
  switch (error.code) {
    case 'CALL_TIMEOUT':
      return new PlugbayError(
        'CALL_TIMEOUT',
        `Task '${task}' of plugin '${plugin}' did not end within ${String(error.details?.['timeout'])} ms, the timeout of this run, and was ended. Raise that, or give the task less to do; it may have waited for a thread, too.`,
        about,
      )
    case 'CALL_CANCELLED':
      return new PlugbayError('CALL_CANCELLED', `Task '${task}' of plugin '${plugin}' was cancelled by its caller.`, about)
    case 'PAYLOAD_NOT_CLONEABLE':
      return uncloneable(input, inputOf(task), error.cause)
    default:
      return error
  }
}

/** `plugin`: whose tasks they are; `beyond`: they run in another process. */
export const guestTasks = (conversation: Conversation, plugin: string, names: readonly string[], beyond: boolean) => {
  const oneTask = limiter(AT_ONCE.task)
  const oneLarge = limiter(AT_ONCE['large task'])

  const request = (task: string, input: unknown, body: object, options: RequestOptions): Promise<unknown> =>
    conversation.request('task', { name: task, ...body }, options).catch((error: unknown) => {
      throw ofTask(plugin, task, input, error)
    })

  const ask = async (task: string, input: unknown, options: RunOptions): Promise<unknown> => {
    if (cloneSize(input, WORTH_SEALING) < WORTH_SEALING) return request(task, input, { input }, options)
    weighed(input, () => inputOf(task))
    // As it is now, whatever becomes of it while it waits: here, so that it is the plugin's memory that it takes.
    const sealed = sealedInput(task, input)
    try {
      return await oneLarge(() => request(task, input, { sealed }, { ...options, transfer: movedWith(sealed) }), options.signal)
    } finally {
      // One that never left.
      discard(sealed)
    }
  }

  const sealedInput = (task: string, input: unknown): ReturnType<typeof seal> => {
    try {
      return seal(input, beyond)
    } catch (error) {
      throw uncloneable(input, inputOf(task), error)
    }
  }

  return {
    names,
    run: async (task: string, input: unknown, options: RunOptions = {}): Promise<unknown> => {
      const fault = optionsFault(options, CALL_OPTIONS)
      if (fault !== undefined) throw argumentInvalid(`tasks.run(${shown(task)})`, fault)
      return oneTask(() => ask(task, input, options), options.signal)
    },
  }
}
