/** What a plugin may do: what its manifest asks for, or, where the kernel's options name the plugin, what its operator grants. */
import { join } from 'node:path'
import { ACTIONS, type Kind, type Permission, PermissionSet, partsOf, pathOf } from '../../permission-set.js'
import type { Grants } from '../../sandbox/permissions/grants.js'
import { placementOf } from '../manifest/isolation.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import type { ResolvedOptions } from '../options/options.js'
import { roleProblems } from '../schema/permission-grammar.js'
import { problemsError } from '../schema/schema-problems.js'

/** What is free until a manifest names one of its kind. */
const FREE: readonly Permission[] = [
  { resource: 'bus:**', actions: ['*'] },
  { resource: 'service:*', actions: ['*'] },
]

/** They run in the kernel's process, wherever their plugin does. */
const TASKS: Permission = { resource: 'tasks', actions: ['use'] }

type Subject = Pick<PluginSource, 'name' | 'root' | 'manifest' | 'manifestPath' | 'path'>
type Rules = Pick<ResolvedOptions, 'roles' | 'grants' | 'dataDir' | 'isolation' | 'defaults'>

const ofRoles = (names: readonly string[], roles: Rules['roles']): Permission[] =>
  [...new Set(names)].flatMap((name) => (Object.hasOwn(roles, name) ? (roles[name] ?? []) : []))

const asked = ({ manifest }: Subject, { roles }: Rules): Permission[] => {
  const named = [...(manifest.permissions ?? []), ...ofRoles(manifest.roles, roles)]
  const kinds = new Set(named.map(({ resource }) => partsOf(resource)[0]))
  return [...FREE.filter(({ resource }) => !kinds.has(partsOf(resource)[0] as Kind)), ...named]
}

/**
 * A manifest that declares tasks asks for them by that. Where the operator grants, that counts for a plugin alone that no wall stands
 * around: in a process it takes the operator's word.
 */
const tasksOf = (source: Subject, options: Rules, granted: boolean): Permission[] =>
  Object.keys(source.manifest.tasks ?? {}).length > 0 && !(granted && placementOf(source, options).isolation === 'process') ? [TASKS] : []

/** Paths absolute, actions spelt out, one entry for a resource. */
const settled = (permissions: readonly Permission[], root: string, dataDir: string): Permission[] => {
  const actionsOf = new Map<string, Set<string>>()
  for (const { resource, actions } of permissions) {
    const [kind, name = ''] = partsOf(resource)
    const whole = kind === 'fs' ? `fs:${pathOf(name, root, dataDir)}` : resource.replace(/^builtin:node:/, 'builtin:')
    const known = actionsOf.get(whole) ?? new Set()
    for (const action of actions) for (const each of action === '*' ? ACTIONS[kind as Kind] : [action]) known.add(each)
    actionsOf.set(whole, known)
  }
  return Array.from(actionsOf, ([resource, actions]) => ({ resource, actions: [...actions] }))
}

/** All that the plugin may do. A role that there is not allows nothing here: {@link assertRoles} tells of it. */
export const permissionsOf = (source: Subject, options: Rules): PermissionSet => {
  const grant = Object.hasOwn(options.grants, source.name) ? options.grants[source.name] : undefined
  const permissions =
    grant === undefined ? asked(source, options) : [...(grant.permissions ?? []), ...ofRoles(grant.roles ?? [], options.roles)]
  permissions.push(...tasksOf(source, options, grant !== undefined))
  const dataDir = join(options.dataDir, source.name)
  return new PermissionSet({ root: source.root, dataDir, permissions: settled(permissions, source.root, dataDir) })
}

/** What the roles in the plugin's manifest allow, and these permissions, without what is free. */
export const permissionsBy = ({ name, root, manifest }: Subject, permissions: readonly Permission[], options: Rules): PermissionSet => {
  const dataDir = join(options.dataDir, name)
  return new PermissionSet({
    root,
    dataDir,
    permissions: settled([...ofRoles(manifest.roles, options.roles), ...permissions], root, dataDir),
  })
}

/**
 * Throws MANIFEST_INVALID for a role in the manifest that the kernel's options do not define. Where the operator grants, the manifest is
 * not asked.
 */
export const assertRoles = ({ name, manifest, manifestPath, path }: Subject, { roles, grants }: Rules): void => {
  if (Object.hasOwn(grants, name)) return
  const problems = roleProblems(manifest.roles, Object.keys(roles), ['roles'])
  const file = manifestPath ?? path
  if (problems.length > 0) throw problemsError('MANIFEST_INVALID', file, problems, { plugin: name, details: { file } })
}

/** The part of it that the plugin's place enforces, not the kernel. */
export const grantsOf = (permissions: PermissionSet): Grants => {
  const use = (kind: 'child' | 'worker' | 'addons'): boolean => permissions.names(kind, 'use').length > 0
  return {
    fs: { read: [...permissions.names('fs', 'read')], write: [...permissions.names('fs', 'write')] },
    net: [...permissions.names('net', 'connect')],
    listen: [...permissions.names('net', 'listen')],
    env: [...permissions.names('env', 'read')],
    child: use('child'),
    worker: use('worker'),
    addons: use('addons'),
    builtins: [...permissions.names('builtin', 'import')],
  }
}
