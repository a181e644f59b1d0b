/** What a thread does while it waits for its plugin: it starts a plugin that does nothing, so that the code it will need is compiled. */
import { channelPair } from '../channel.js'
import type { LoadRequest } from '../protocol.js'
import { Conversation } from '../rpc.js'
import { PluginRuntime } from './plugin-runtime.js'

const UNDERSTUDY = `data:text/javascript,${encodeURIComponent("export default { start(ctx) { ctx.bus.subscribe('a.*', () => {}) } }")}`

/** Never throws: a rehearsal that fails is no reason not to play. */
export const rehearse = async (): Promise<void> => {
  const [stage, wings] = channelPair()
  const runtime = new PluginRuntime(
    () => {},
    () => {},
  )
  runtime.conversation = new Conversation(wings, runtime, 'the rehearsal')
  const kernel = new Conversation(stage, { request: () => undefined }, 'the understudy')
  const load: LoadRequest = {
    name: 'understudy',
    version: '0.0.0',
    generation: 0,
    entry: UNDERSTUDY,
    root: '',
    inline: false,
    needsHooks: false,
    config: {},
    dataDir: '',
    permissions: { root: '', dataDir: '', permissions: [{ resource: 'bus:**', actions: ['subscribe'] }] },
    tasks: [],
    window: 1,
    message: 1,
    subscriptions: 16,
    pluginModule: '',
  }
  try {
    // Two of its classes are behind the gate, and that takes it: 1 ms where Node has yet to load it.
    process.getBuiltinModule('node:stream/web')
    // The one module that nearly every plugin imports; it also shows the loader the way to a file.
    await import(new URL('../../plugin.js', import.meta.url).href)
    await kernel.request('load', load)
    await kernel.request('start')
  } catch {
    // The real start will tell.
  } finally {
    kernel.close()
  }
}
