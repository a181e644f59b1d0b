/** The guest's end of an inline place: the plugin runs in this very thread. */

import type { Channel } from '../channel.js'
import { Conversation } from '../rpc.js'
import { CALL_LIMIT } from '../values/call-window.js'
import { prepareModules } from './module-hooks.js'
import { PluginRuntime } from './plugin-runtime.js'
import { tellWrittenStacks } from './written-stacks.js'

export const serve = (channel: Channel): void => {
  let end = (): void => {}
  const runtime = new PluginRuntime(
    (request) => {
      end = tellWrittenStacks(request.root)
      prepareModules(request)
    },
    () => end(),
  )
  runtime.conversation = new Conversation(channel, runtime, 'the kernel', { limit: CALL_LIMIT })
}
