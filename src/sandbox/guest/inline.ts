/** The guest's end of an inline place: the plugin runs in this very thread. */
import { CALL_LIMIT } from '../call-window.js'
import type { Channel } from '../channel.js'
import { Conversation } from '../rpc.js'
import { prepareModules } from './module-hooks.js'
import { PluginRuntime } from './plugin-runtime.js'

export const serve = (channel: Channel): void => {
  const runtime = new PluginRuntime(
    (request) => prepareModules(request),
    () => {},
  )
  runtime.conversation = new Conversation(channel, runtime, 'the kernel', { limit: CALL_LIMIT })
}
