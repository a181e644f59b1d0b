/** The guest's end of a process: what a plugin's process runs from its first line until its channel closes. */
import { Socket } from 'node:net'
import { setPriority } from 'node:os'
import { toWire } from '../../errors.js'
import { departAll } from '../departures.js'
import { FramedChannel } from '../framed-channel.js'
import { beatBy } from '../pulse.js'
import { Conversation } from '../rpc.js'
import { captureConsole } from './console.js'
import { prepareModules } from './module-hooks.js'
import { PluginRuntime } from './plugin-runtime.js'

/** The descriptor that the kernel talks on. */
const CHANNEL = 3
/** Below the kernel, so that a busy plugin does not keep it from its work. */
const PRIORITY = 5

try {
  setPriority(PRIORITY)
} catch {
  // A system without priorities, or one that was started lower still.
}
const channel = new FramedChannel(new Socket({ fd: CHANNEL, readable: true, writable: true }), 'guest')
// The answer to a question for a beat is its number.
channel.besides((asked) => channel.tell(asked))
beatBy(() => channel.tell(0))
// A kernel that is gone needs no plugins: the end of the conversation is the end of the process.
const runtime = new PluginRuntime(prepareModules, () => process.exit(0))
runtime.conversation = new Conversation(channel, runtime, 'the kernel')
// What ends the process is told before it does.
process.on('uncaughtExceptionMonitor', (error) => channel.tell(toWire(error)))
// What was said before an end is heard, whoever brings it about.
process.once('exit', departAll)
process.setSourceMapsEnabled(true)
captureConsole((level, message) => runtime.log(level, message))
