/** The doors of the network: a plugin that was granted some hosts is held to them, whichever of Node's modules it goes through. */
import type { Deny } from '../../permissions/denial.js'
import type { Grants } from '../../permissions/grants.js'
import { closeDatagrams } from './datagram-doors.js'
import type { CheckFile } from './file-doors.js'
import { closeLookups } from './lookup-doors.js'
import { lockHandles, type NetModules } from './net-handles.js'
import { netRules } from './net-rules.js'
import type { Used } from './recorder.js'
import { closeSockets } from './socket-doors.js'

export interface NetDoors {
  grants: Grants
  deny: Deny
  checkFile: CheckFile
  /** While permissions are learnt: takes what the plugin used of the network. */
  used?: Used | undefined
  /** Its standard streams are its own, and may be sockets. */
  ownStreams?: boolean
}

// The plugin shares this realm and may change all it finds: what a check needs is taken now.
const { apply } = Reflect
const { includes } = String.prototype
const builtin = process.getBuiltinModule.bind(process)

/** For all time. The modules are loaded here: a plugin without a network pays for none. */
export const closeNet = ({ grants, deny, checkFile, used, ownStreams = false }: NetDoors): void => {
  if (grants.net.includes('*') && used === undefined) return
  const modules: NetModules = { net: builtin('node:net'), dns: builtin('node:dns'), dgram: builtin('node:dgram') }
  const rules = netRules(grants, deny, used)
  /**
   * A socket that is a file is held to the files that may be written. One whose name is no path, as Linux has them, is nobody's to grant.
   */
  const checkPath = (path: string): void => {
    if (apply<string, [string], boolean>(includes, path, ['\0'])) deny('connect to an abstract socket', 'net:*', 'connect')
    checkFile('write', path)
  }
  const mayOpen = (descriptor: unknown): boolean => ownStreams && (descriptor === 0 || descriptor === 1 || descriptor === 2)
  if (used === undefined) lockHandles(modules, { rules, checkPath, mayOpen })
  closeSockets(modules, rules, closeLookups(modules, rules, deny), checkPath)
  closeDatagrams(modules, rules)
}
