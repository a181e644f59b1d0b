/** The guest's end of a thread: what a worker runs from its first line until the kernel ends it. */
import { type MessagePort, workerData } from 'node:worker_threads'
import { portChannel } from '../channel.js'
import type { Pulse } from '../pulse.js'
import { Conversation } from '../rpc.js'
import { captureConsole } from './console.js'
import { startHeart } from './heartbeat.js'
import { prepareModules } from './module-hooks.js'
import { PluginRuntime } from './plugin-runtime.js'
import { rehearse } from './rehearsal.js'

const { port, pulse, waits } = workerData as { port: MessagePort; pulse: Pulse; waits: boolean }
// A kernel that is gone needs no plugins: the end of the conversation is the end of the thread.
const runtime = new PluginRuntime(prepareModules, () => process.exit(0))
runtime.conversation = new Conversation(portChannel(port), runtime, 'the kernel')
// Of a flag at its start a thread would take twice the time, and what is loaded so far needs no maps.
process.setSourceMapsEnabled(true)
startHeart(pulse)
captureConsole((level, message) => runtime.log(level, message))
if (waits) void rehearse()
