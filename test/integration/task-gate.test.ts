/** What the code of a task can reach: the doors that are closed to its plugin are closed to it, and a grant opens them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { permissionFlags } from '#src/sandbox/host/permission-flags.js'
import { NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import { eventually } from '../support/eventually.js'
import { emptyFolder } from '../support/plugin-folder.js'
import { type Ran, startedTasks } from '../support/task-plugin.js'

const BEFORE = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)\n"

const allowed = (resource: string, ...actions: string[]) => ({ permissions: [{ resource, actions }] })

const taskOf = (body: string): string => `${BEFORE}export default async (input) => {\n${body}\n}`
/** What it returned; a refusal as its code. */
const outcomeOf = ({ value, cause, message }: Ran): unknown =>
  cause === undefined && message === undefined ? value : (cause?.code ?? message)

/** What the body returns in a task of a plugin with this manifest. */
const tried = async (body: string, manifest: Record<string, unknown> = {}): Promise<unknown> => {
  const { run } = await startedTasks({ 'curious.js': taskOf(body) }, manifest)
  return outcomeOf(await run('curious'))
}

/** What many bodies come to, by their names, in tasks of one plugin without grants: for what changes nothing in their thread. */
const triedAll = (bodies: Record<string, string>, files: Record<string, string> = {}) => {
  const names = Object.keys(bodies)
  const all = async (): Promise<Map<string, unknown>> => {
    const tasks = Object.values(bodies).map((body, i) => [`task${i}.js`, taskOf(body)] as const)
    const { run } = await startedTasks({ ...Object.fromEntries(tasks), ...files })
    const found = new Map<string, unknown>()
    for (const [i, name] of names.entries()) found.set(name, outcomeOf(await run(`task${i}`)))
    return found
  }
  let found: Promise<Map<string, unknown>> | undefined
  return async (name: string): Promise<unknown> => (await (found ??= all())).get(name)
}

const DENIED = expect.stringMatching(/^(PERMISSION_DENIED|ERR_ACCESS_DENIED)$/) as string

const DOORS: Record<string, string> = {
  'node:fs by import': "return import('node:fs')",
  'node:fs by require': "return require('fs')",
  'node:fs by a CommonJS module': "return (await import('./lib/common.cjs')).default('node:fs')",
  'node:fs by Module._load': "return require('module')._load('fs')",
  'node:fs by process.getBuiltinModule': "return process.getBuiltinModule ? process.getBuiltinModule('fs') : import('fs')",
  'node:fs in eval': 'return (0, eval)(\'import("node:fs")\')',
  'node:fs by what is no text': "return require('module')._load(new String('node:fs'))",
  'what Node is made of by what is no text': "return require('module')._load({ toString: () => 'node:internal/test/binding' })",
  'node:fs by another name':
    "const m = require('module'), { _findPath } = m; try { m._findPath = () => 'fs'; return m._load('made-up') } finally { m._findPath = _findPath }",
  'a file by the loader of CommonJS, with an iterator of its own': `
    const m = require('module'), module = new m('x'), { prototype } = Array, iterator = prototype[Symbol.iterator]
    module._compile = (code) => { module.got = code }
    prototype[Symbol.iterator] = function* () { yield import.meta.url.slice(7) }
    try { m._extensions['.js'](module, '/etc/hosts') } finally { prototype[Symbol.iterator] = iterator }
    return module.got`,
  'a file by the loader of CommonJS, that is told where its path leads': `
    const m = require('module'), module = new m('x'), path = require('path'), { toNamespacedPath } = path
    module._compile = (code) => { module.got = code }
    try { path.toNamespacedPath = () => '/etc/hosts' } catch { throw Object.assign(new Error(), { code: 'PERMISSION_DENIED' }) }
    try { m._extensions['.js'](module, import.meta.url.slice(7)) } finally { path.toNamespacedPath = toNamespacedPath }
    return module.got`,
  'the compiler, for what is no text': "const m = require('module'); return new m('x')._compile({}, {})",
  children: "return import('node:child_process')",
  workers: "return import('node:worker_threads')",
  'the network': "return import('node:net')",
  fetch: "return fetch('http://localhost')",
  'node:os': "return import('node:os')",
  'node:v8': "return require('v8')",
  'node:inspector': "return import('node:inspector')",
  'process.kill': 'process.kill(process.pid, 0)',
  'process.binding': "process.binding('fs')",
  'a report': 'process.report.getReport()',
  SharedArrayBuffer: 'new SharedArrayBuffer(8)',
  'resizable buffers': 'new ArrayBuffer(8, { maxByteLength: 16 })',
  'module.register': "require('module').register('data:text/javascript,')",
}

describe('a task of a plugin without grants', () => {
  const triedDoor = triedAll(DOORS, { 'lib/common.cjs': 'module.exports = (name) => require(name)' })

  it.each(Object.keys(DOORS))('is refused %s', async (door) => {
    expect(await triedDoor(door)).toBe('PERMISSION_DENIED')
  })

  const INSIDE = ["return import('internal/modules/esm/loader')", "return require('internal/test/binding')"]
  const triedInside = triedAll(Object.fromEntries(INSIDE.map((body) => [body, body])))

  it.each(INSIDE)('is not let at what Node is made of: %s', async (body) => {
    expect(await triedInside(body)).toMatch(/^(PERMISSION_DENIED|ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND|ERR_ACCESS_DENIED)$/)
  })

  it('gets an error that names the plugin and the mend, as its plugin would', async () => {
    const { run } = await startedTasks({
      'curious.js': "export default () => import('node:os')",
      'static.js': "import 'node:os'\nexport default () => 1",
    })
    const refused = {
      code: 'TASK_FAILED',
      cause: {
        name: 'PlugbayError',
        code: 'PERMISSION_DENIED',
        plugin: 'worker',
        message: expect.stringMatching(/'worker' may not import 'node:os'.*builtin:os/) as string,
      },
    }
    expect(await run('curious')).toMatchObject(refused)
    expect(await run('static')).toMatchObject(refused)
  })

  it('imports no code and no data from beyond its folder', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'a.json'), '{"a":1}')
    writeFileSync(join(folder, 'a.mjs'), 'export default 1')
    const urlOf = (name: string): string => JSON.stringify(pathToFileURL(join(folder, name)).href)
    expect(await tried(`return import(${urlOf('a.mjs')})`)).toEqual(DENIED)
    expect(await tried(`return import(${urlOf('a.json')}, { with: { type: 'json' } })`)).toEqual(DENIED)
    expect(await tried(`return require(${JSON.stringify(join(folder, 'a.json'))})`)).toEqual(DENIED)
  })

  it('has no variables, and neither the port of its thread nor what that was made with', async () => {
    expect(await tried('return Object.keys(process.env)')).toEqual([])
    const found = await tried(
      "const { parentPort, workerData } = await import('node:worker_threads'); return [parentPort, workerData]",
      allowed('worker', 'use'),
    )
    expect(found).toEqual([null, null])
  })

  it('cannot order anything of the host by its standard streams', async () => {
    expect(
      await tried(
        "return ['stdout', 'stderr'].flatMap((name) => Object.getOwnPropertySymbols(process[name]).map(String)).filter((name) => /port/i.test(name))",
      ),
    ).toEqual([])
  })

  it('is told of to the kernel like its plugin: as a fault, once for many times', async () => {
    const { run, faults } = await startedTasks({
      'curious.js': "export default async () => { for (let i = 0; i < 100; i++) await import('node:os').catch(() => {}) }",
    })
    await run('curious')
    await eventually(() =>
      expect(faults).toMatchObject([
        {
          name: 'worker',
          error: {
            code: 'PERMISSION_DENIED',
            plugin: 'worker',
            message: expect.stringMatching(/may not import 'node:os'.*builtin:os/) as string,
          },
        },
      ]),
    )
  })

  it('stays behind the gate at each later run of its thread', async () => {
    const { run } = await startedTasks(
      { 'first.js': 'export default () => 1', 'second.js': "export default () => import('node:fs')" },
      {},
      { maxConcurrency: 1 },
    )
    for (let i = 0; i < 5; i++) {
      expect(await run('first')).toEqual({ value: 1 })
      expect(await run('second')).toMatchObject({ cause: { code: 'PERMISSION_DENIED' } })
    }
  })

  it('is held, too, where its plugin runs in a process', async () => {
    expect(await tried("return import('node:fs')", { isolation: 'process' })).toBe('PERMISSION_DENIED')
    expect(await tried('return Object.keys(process.env)', { isolation: 'process' })).toEqual([])
  })

  it('does not run outside of its process where the operator grants and does not name tasks', async () => {
    const who = { 'who.js': 'export default () => process.pid' }
    const isolation = { worker: 'process' as const }
    const provides = { resource: 'service:runner', actions: ['provide'] }
    const closed = await startedTasks(who, {}, { isolation, grants: { worker: { permissions: [provides] } } })
    expect(await closed.run('who')).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringMatching(/'worker' may not run its tasks.*"tasks"/),
    })
    await eventually(() =>
      expect(closed.faults).toMatchObject([{ name: 'worker', error: { details: { resource: 'tasks', action: 'use' } } }]),
    )
    expect(await closed.run('whom')).toMatchObject({ code: 'TASK_UNKNOWN' })
    const open = await startedTasks(
      who,
      {},
      { isolation, grants: { worker: { permissions: [provides, { resource: 'tasks', actions: ['use'] }] } } },
    )
    expect(await open.run('who')).toEqual({ value: process.pid })
  })

  it('has no gate where its plugin has none: inline', async () => {
    expect(await tried("return typeof (await import('node:fs')).readFileSync", { isolation: 'inline' })).toBe('function')
  })
})

describe('a task of a plugin that was granted', () => {
  it('files, reads and writes those and no others', async () => {
    const folder = emptyFolder()
    mkdirSync(join(folder, 'mine'))
    writeFileSync(join(folder, 'mine/a.txt'), 'a')
    writeFileSync(join(folder, 'other.txt'), 'b')
    const file = (name: string): string => JSON.stringify(join(folder, name))
    const body = `const { readFileSync, writeFileSync } = await import('node:fs')
      const attempt = (act) => { try { return act() ?? 'done' } catch (error) { return error.code } }
      return [attempt(() => readFileSync(${file('mine/a.txt')}, 'utf8')), attempt(() => writeFileSync(${file('mine/b.txt')}, 'b')),
        attempt(() => readFileSync(${file('other.txt')}, 'utf8')), attempt(() => writeFileSync(${file('other.txt')}, 'c'))]`
    expect(await tried(body, allowed(`fs:${join(folder, 'mine')}`, 'read'))).toEqual(['a', DENIED, DENIED, DENIED])
    expect(await tried(body, allowed(`fs:${join(folder, 'mine')}`, 'read', 'write'))).toEqual(['a', 'done', DENIED, DENIED])
  })

  it('a module, imports it', async () => {
    expect(await tried("return typeof (await import('node:os')).cpus", allowed('builtin:os', 'import'))).toBe('function')
  })

  it('children, starts them', async () => {
    const body = "return (await import('node:child_process')).execFileSync(process.execPath, ['-p', '1 + 1'], { encoding: 'utf8' }).trim()"
    expect(await tried(body, allowed('child', 'use'))).toBe('2')
  })

  it('workers, starts them', async () => {
    const body = `const { Worker } = await import('node:worker_threads')
      const worker = new Worker('require("node:worker_threads").parentPort.postMessage(2)', { eval: true })
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))`
    expect(await tried(body, allowed('worker', 'use'))).toBe(2)
  })

  it('a variable, reads it', async () => {
    process.env['PLUGBAY_TEST_TASK'] = 'here'
    onTestFinished(() => void delete process.env['PLUGBAY_TEST_TASK'])
    expect(await tried('return process.env', allowed('env:PLUGBAY_TEST_TASK', 'read'))).toEqual({ PLUGBAY_TEST_TASK: 'here' })
  })

  it('the network, connects', async () => {
    const server = createServer((_request, response) => response.end('hello')).listen(0)
    onTestFinished(() => void server.close())
    await eventually(() => expect(server.listening).toBe(true))
    const { port } = server.address() as AddressInfo
    expect(await tried(`return (await fetch('http://localhost:${port}')).text()`, allowed('net:localhost', 'connect'))).toBe('hello')
  })
})

it("a task's thread has Node's permission model beneath the gate, as its plugin's has", async () => {
  const { run, path } = await startedTasks({ 'flags.js': 'export default () => process.execArgv' })
  const { value } = await run('flags')
  expect(value).toEqual(expect.arrayContaining(permissionFlags(NO_GRANTS, { root: path, packages: [] })))
  expect((value as string[]).some((flag) => /^--(experimental-)?permission$/.test(flag))).toBe(true)
})
