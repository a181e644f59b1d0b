/** Which of Node's own modules a plugin may import: every one of them is judged here, and one that nobody judged is closed. */
import nodeModule from 'node:module'
import { entryFor } from '../../permission-set.js'
import type { Deny } from './denial.js'
import { type Grants, hasNet } from './grants.js'
import { words } from './words.js'

/** They reach nothing beyond the thread. Members of `async_hooks`, `module` and `process` that do are closed one by one. */
export const OPEN = words(`
  assert assert/strict async_hooks buffer console constants diagnostics_channel events module path path/posix path/win32 perf_hooks process punycode
  querystring readline readline/promises stream stream/consumers stream/promises stream/web string_decoder sys timers timers/promises url util util/types
  _stream_duplex _stream_passthrough _stream_readable _stream_transform _stream_writable
`)

/** They come with a grant of that kind. */
export const BY_GRANT: Readonly<Record<'fs' | 'net' | 'child' | 'worker', readonly string[]>> = {
  fs: words('fs fs/promises'),
  net: words(`
    dgram dns dns/promises http http2 https net tls
    _http_agent _http_client _http_common _http_incoming _http_outgoing _http_server _stream_wrap _tls_common _tls_wrap
  `),
  child: words('child_process'),
  worker: words('worker_threads'),
}

/**
 * Open to those whose manifest names them: `crypto` and `zlib` keep the threads busy on which the whole process reads files and resolves
 * names,
 * `os` and `tty` reach the process and its terminal, `v8` and `vm` the engine, the rest files, other threads or other code.
 */
export const CLOSED = words(`
  cluster crypto domain ffi inspector inspector/promises os repl sea sqlite test test/reporters trace_events tty v8 vm wasi zlib
`)

/** They are `zlib` by other names: among the globals, and in `stream/web`. */
export const COMPRESSION = ['CompressionStream', 'DecompressionStream'] as const

/** Whether a module that it may import leads to sockets, by whichever grant. */
export const hasSockets = (grants: Grants): boolean =>
  hasNet(grants) || grants.builtins.some((name) => BY_GRANT.net.includes(name) || name === 'tty' || name === 'cluster')

/** The names, without `node:`, of all that may be imported. */
export const importable = (grants: Grants): string[] => [
  ...OPEN,
  ...(grants.fs.read.length > 0 || grants.fs.write.length > 0 ? BY_GRANT.fs : []),
  ...(hasNet(grants) ? BY_GRANT.net : []),
  ...(grants.child ? BY_GRANT.child : []),
  ...(grants.worker ? BY_GRANT.worker : []),
  ...grants.builtins,
]

/** The entry to grant to one that was denied that: a module that comes with a grant is of no use without it. */
export const entryThatOpens = (resource: string, action: string): string => {
  const name = resource.startsWith('builtin:') ? resource.slice('builtin:'.length) : ''
  if (BY_GRANT.fs.includes(name)) return entryFor('fs:<path>', 'read')
  if (BY_GRANT.net.includes(name)) return entryFor('net:<host>', 'connect')
  if (BY_GRANT.child.includes(name)) return entryFor('child', 'use')
  if (BY_GRANT.worker.includes(name)) return entryFor('worker', 'use')
  return entryFor(resource, action)
}

/**
 * Takes what an import names, or the URL it leads to; throws PERMISSION_DENIED if that is closed, or no text: that could say something else
 * each time it is asked.
 */
export type CheckImport = (specifier: unknown) => void

// A plugin shares its thread's realm and may change all it finds there: what a check needs is taken now.
const { apply } = Reflect
const { startsWith, slice } = String.prototype
const { isBuiltin } = nodeModule

/** The name, without `node:`, of the module of Node's own that an import means; undefined: it means none. */
export const moduleName = (specifier: string): string | undefined => {
  if (!isBuiltin(specifier)) return undefined
  return apply(startsWith, specifier, ['node:']) ? apply<string, [number], string>(slice, specifier, [5]) : specifier
}

/** `names`: the {@link importable}; `checkFile`: throws at the URL of a file whose code the plugin may not have. */
export const importCheck = (names: readonly string[], deny: Deny, checkFile: (url: string) => void): CheckImport => {
  const open = Object.create(null) as Record<string, true | undefined>
  for (const name of names) open[name] = true
  return (specifier) => {
    if (typeof specifier !== 'string') return deny('import by what is no text')
    if (apply<string, [string], boolean>(startsWith, specifier, ['file:'])) return checkFile(specifier)
    const name = moduleName(specifier)
    if (name === undefined || open[name] === true) return
    const resource = `builtin:${name}`
    deny(`import 'node:${name}'`, resource, 'import', entryThatOpens(resource, 'import'))
  }
}
