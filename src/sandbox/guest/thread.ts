/** The guest's end of a thread: what a worker runs from its first line until the kernel ends it. */
import { type MessagePort, workerData } from 'node:worker_threads'
import { Denials } from '../../denials.js'
import { portChannel } from '../channel.js'
import { departAll } from '../conversation/departures.js'
import type { LoadRequest, LogLevel } from '../protocol.js'
import type { Pulse } from '../pulse.js'
import { Conversation } from '../rpc.js'
import { CALL_LIMIT } from '../values/call-window.js'
import { captureConsole } from './console.js'
import { boundCrash } from './crash.js'
import { closeGate } from './gate.js'
import { startHeart } from './heartbeat.js'
import { prepareModules } from './module-hooks.js'
import { PluginRuntime } from './plugin-runtime.js'
import { rehearse } from './rehearsal.js'

/** Hands the code over as it is compiled by now, for other threads; where the kernel has none yet. */
declare const compiled: (() => void) | undefined

const { port, pulse, waits } = workerData as { port: MessagePort; pulse: Pulse; waits: boolean }
const output = (level: LogLevel, text: string): void => runtime.log(level, text)
/** For the audit, at a bearable rate. */
const denials = new Denials((resource, action, unsaid) => conversation.notify('denied', [resource, action, unsaid + 1]))
const tell = (resource: string, action: string): void => {
  try {
    denials.add(resource, action)
  } catch {
    // The plugin has broken what this takes: it is refused all the same.
  }
}
const prepare = async (request: LoadRequest): Promise<void> => {
  if (compiled === undefined) return close(request)
  // Of what is handed over, all must have been compiled before the plugin can have a hand in it: what loads the plugin through the gate,
  // too.
  await rehearsal
  close(request)
  await import(`${request.pluginModule}?rehearsed`).catch(() => {})
  compiled()
}
const close = (request: LoadRequest): void => {
  const { grants, permissions } = request
  if (grants === undefined) return prepareModules(request)
  const used = permissions.learning ? (resource: string, action: string) => conversation.notify('used', [resource, action]) : undefined
  closeGate({ plugin: request, grants, tell, used, output })
}
// A kernel that is gone needs no plugins: the end of the conversation is the end of the thread.
const runtime = new PluginRuntime(prepare, () => process.exit(0))
const conversation = (runtime.conversation = new Conversation(portChannel(port), runtime, 'the kernel', { limit: CALL_LIMIT }))
// Of a flag at its start a thread would take twice the time, and what is loaded so far needs no maps.
process.setSourceMapsEnabled(true)
startHeart(pulse)
// What was said before an end is heard, whoever brings it about.
process.once('exit', departAll)
captureConsole(output)
process.on('uncaughtExceptionMonitor', boundCrash)
const rehearsal = waits || compiled ? rehearse() : undefined
