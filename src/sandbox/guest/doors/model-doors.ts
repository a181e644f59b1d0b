/**
 * The doors that Node's permission model keeps shut in a process. Node would say neither whose plugin it refused nor what would allow it,
 * and tell nobody: so it is asked first.
 */
import childProcess from 'node:child_process'
import path from 'node:path'
import workerThreads from 'node:worker_threads'
import type { Deny } from '../../permissions/denial.js'
import type { Grants } from '../../permissions/grants.js'
import { words } from '../../permissions/words.js'
import { actOf, askEach, textOf } from './file-doors.js'
import { lock } from './lock.js'

/** Of these Node answers some, though the path is closed. */
const ANSWERED = ['exists', 'realpath']
const STARTS_CHILDREN = words('spawn spawnSync exec execSync execFile execFileSync fork')

/** Nothing is closed here that the model does not close, and nothing where there is no model. */
export const askModel = ({ child, worker, addons }: Grants, deny: Deny): void => {
  const { permission } = process
  if (permission === undefined) return
  const { resolve } = path
  const has = permission.has.bind(permission)
  askEach((use, given) => {
    const text = textOf(given)
    // Node itself judges where a link may lead.
    if (typeof text !== 'string' || use === 'target') return text
    const act = actOf(use)
    const named = resolve(text)
    if (!has(`fs.${act}`, named)) deny(`${act} ${named}`, `fs:${named}`, act)
    return text
  }, ANSWERED)
  if (!child) for (const name of STARTS_CHILDREN) lock(childProcess, name, () => deny('start child processes', 'child', 'use'))
  if (!worker)
    lock(workerThreads, 'Worker', function Worker() {
      deny('start worker threads', 'worker', 'use')
    })
  if (!addons) lock(process, 'dlopen', () => deny('load a native addon', 'addons', 'use'))
}
