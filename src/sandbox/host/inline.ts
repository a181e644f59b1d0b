/** A plugin's place in the kernel's own thread: for plugins that are trusted with it, and for tests. Nothing is contained. */
import { PlugbayError } from '../../errors.js'
import { type Channel, channelPair } from '../channel.js'
import { serve } from '../guest/inline.js'
import type { Exit, PluginHost } from '../plugin-host.js'

export class InlineHost implements PluginHost {
  readonly kind = 'inline'
  readonly tier = 'inline'
  readonly holds = []
  readonly exited: Promise<Exit>
  #settle: (exit: Exit) => void = () => {}
  #channel: Channel | undefined
  #killed = false

  constructor() {
    this.exited = new Promise((resolve) => (this.#settle = resolve))
  }

  async start(signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    if (this.#killed) throw new PlugbayError('PLUGIN_STOPPED', 'The place was ended before it started.')
    const [here, there] = channelPair()
    serve(there)
    this.#channel = here
    return here
  }

  async kill(reason: string): Promise<void> {
    this.#killed = true
    this.#channel?.close()
    this.#settle({ expected: true, reason })
  }
}
