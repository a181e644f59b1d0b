/** A plugin's own end of its tasks: asks the kernel to run them. What is large goes sealed, as the kernel's thread has no use for what is in it. */
import { argumentInvalid, optionsFault, shown } from '../../arguments.js'
import { limiter } from '../../limiter.js'
import { CALL_OPTIONS } from '../../service-options.js'
import { AT_ONCE } from '../at-once.js'
import { cloneSize } from '../clone-size.js'
import type { Conversation, RequestOptions } from '../rpc.js'
import { discard, movedWith, seal, WORTH_SEALING } from '../sealed.js'
import { type Sent, uncloneable, weighed } from '../sendable.js'

type RunOptions = Pick<RequestOptions, 'timeout' | 'signal'>

/** `beyond`: the tasks run in another process. */
export const guestTasks = (conversation: Conversation, names: readonly string[], beyond: boolean) => {
  const oneTask = limiter(AT_ONCE.task)

  const ask = async (task: string, input: unknown, options: RunOptions): Promise<unknown> => {
    if (cloneSize(input, WORTH_SEALING) < WORTH_SEALING) return conversation.request('task', { name: task, input }, options)
    const asInput = (): Sent => ({ name: `The input of task ${shown(task)}`, root: 'input' })
    weighed(input, asInput)
    const sealed = sealedInput(input, asInput)
    try {
      return await conversation.request('task', { name: task, sealed }, { ...options, transfer: movedWith(sealed) })
    } finally {
      // One that never left.
      discard(sealed)
    }
  }

  const sealedInput = (input: unknown, asInput: () => Sent): ReturnType<typeof seal> => {
    try {
      return seal(input, beyond)
    } catch (error) {
      throw uncloneable(input, asInput(), error)
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
