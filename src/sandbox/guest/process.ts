/** The guest's end of a process: what a plugin's process runs from its first line until its channel closes. */
import nodeModule from 'node:module'
import { Socket } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Denials } from '../../denials.js'
import { toWire } from '../../wire-error.js'
import { departAll } from '../conversation/departures.js'
import { FramedChannel } from '../framed-channel.js'
import { denyFor } from '../permissions/denial.js'
import type { Asked, Leaving, LoadRequest, Uncaught, Weighed } from '../protocol.js'
import { beatBy } from '../pulse.js'
import { Conversation } from '../rpc.js'
import { CALL_LIMIT } from '../values/call-window.js'
import { captureConsole } from './console.js'
import { askEach, type CheckFile, checkUrl, fileCheck } from './doors/file-doors.js'
import { lock } from './doors/lock.js'
import { askModel } from './doors/model-doors.js'
import { closeNet } from './doors/net-doors.js'
import { recordImports, recordOpened, recordTemporary, recordVariables, type Used } from './doors/recorder.js'
import { prepareModules } from './module-hooks.js'
import { toldHeap } from './own-memory.js'
import { PluginRuntime } from './plugin-runtime.js'

/** The descriptor that the kernel talks on. */
const CHANNEL = 3
/** Below the kernel, so that a busy plugin does not keep it from its work. */
const PRIORITY = 5

try {
  // A host that was started lower still is not passed.
  if (getPriority() < PRIORITY) setPriority(PRIORITY)
} catch {
  // A system without priorities.
}
const channel = new FramedChannel(new Socket({ fd: CHANNEL, readable: true, writable: true }), 'guest')
channel.besides((asked) => channel.tell((asked as Asked) === 'weigh' ? ({ holds: toldHeap() } satisfies Weighed) : asked))
beatBy(() => channel.tell(0))
const denials = new Denials((resource, action, unsaid) => conversation.notify('denied', [resource, action, unsaid + 1]))

/**
 * The system and Node hold the rest of what a plugin may do in its process. The network neither knows by its hosts, and Node not at all
 * before 25.
 */
const close = (
  { name, grants, root, packages, dataDir, pluginModule, offline }: LoadRequest,
  used: Used | undefined,
): CheckFile | undefined => {
  if (grants === undefined) return undefined
  const deny = denyFor(name, (resource, action) => denials.add(resource, action))
  if (!used) askModel(grants, deny)
  if (offline) return undefined
  const { read, write } = grants.fs
  const own = [root, dataDir, dirname(fileURLToPath(pluginModule))]
  const reach = { grants: { ...grants, fs: { read, write: [dataDir, ...write] } }, own, packages }
  const checkFile = fileCheck(reach, deny, used && recordOpened(used))
  closeNet({ grants, deny, checkFile, used, ownStreams: true })
  if (used) {
    askEach(checkFile)
    recordTemporary(used)
  }
  if (!grants.net.includes('*')) {
    // Among them is the channel.
    for (const member of ['_getActiveHandles', '_getActiveRequests'])
      lock(process, member, () => deny(`use process.${member}()`, 'net:*', 'connect'))
  }
  nodeModule.syncBuiltinESMExports()
  return checkFile
}
const askUrl = (checkFile: CheckFile, imported: unknown): void => {
  if (typeof imported === 'string' && imported.startsWith('file:')) checkUrl(checkFile, imported)
}
const prepare = (request: LoadRequest): void => {
  const used = request.permissions.learning
    ? (resource: string, action: string) => conversation.notify('used', [resource, action])
    : undefined
  const checkFile = close(request, used)
  // Where a module that is imported can be seen without a thread for it.
  const seen = used && checkFile && 'registerHooks' in nodeModule
  prepareModules(request, seen ? recordImports((imported) => askUrl(checkFile, imported), used) : undefined)
  if (used) process.env = recordVariables(process.env, used)
}
// A kernel that is gone needs no plugins: the end of the conversation is the end of the process.
const runtime = new PluginRuntime(prepare, () => process.exit(0), true)
const conversation = (runtime.conversation = new Conversation(channel, runtime, 'the kernel', { limit: CALL_LIMIT }))
// What ends the process is told before it does.
process.on('uncaughtExceptionMonitor', (error) => {
  const heard = process.listenerCount('uncaughtException') > 0 || process.hasUncaughtExceptionCaptureCallback()
  channel.tell({ error: toWire(error), heard } satisfies Uncaught)
})
// What was said before an end is heard, whoever brings it about, and that it is one: it may take for ever.
process.once('exit', (code) => {
  departAll()
  channel.tell({ exits: code } satisfies Leaving)
})
process.setSourceMapsEnabled(true)
captureConsole((level, message) => runtime.log(level, message))
