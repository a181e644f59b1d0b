/**
 * What a plugin that may write manifests can make of itself, or of another, by that: no more than there was, until the operator says so.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const may = (path: string) => ({ resource: `fs:${path}`, actions: ['read', 'write'] })
const free = [
  { resource: 'bus:**', actions: ['*'] },
  { resource: 'service:own', actions: ['provide'] },
]
const limits = { memory: 128, queue: 100 }
const base = { permissions: [...free, may('.')], limits }
const writing = pluginCode({
  start: `ctx.bus.subscribe('write', async ({ data }) => {
    await ctx.fs.writeFile(data.path, data.text).catch(({ code }) => ctx.bus.publish('refused', code))
  })`,
})
const idle = pluginCode({ start: '' })
const watch = { settle: 20 }
const json = (manifest: object): string => JSON.stringify({ name: 'p', version: '1.0.0', main: 'index.js', ...manifest })

/** The plugin `p` has its manifest written anew, which it does itself. */
const rewritten = async (manifest: object, before: object = base, options: object = {}): Promise<Running> => {
  const running = await startedWith({ p: { code: writing, manifest: { ...before } } }, { watch, audit: true, ...options })
  const path = join(running.folder, 'p/plugin.json')
  const text = json(manifest)
  await running.kernel.bus.publish('write', { path, text })
  await eventually(() => expect(readFileSync(path, 'utf8')).toBe(text))
  return running
}

const denied = ({ faults }: Running) => faults.find(({ error }) => (error as { code?: string }).code === 'PERMISSION_DENIED')

describe('a plugin that may write its own folder and rewrites its manifest', () => {
  it.each<[string, object, string]>([
    ['more files', { ...base, permissions: [...free, may('.'), { resource: 'fs:*', actions: ['read'] }] }, "'read' on fs:*"],
    ['the network', { ...base, permissions: [...base.permissions, { resource: 'net:*', actions: ['connect'] }] }, "'connect' on net:*"],
    ['children', { ...base, permissions: [...base.permissions, { resource: 'child', actions: ['use'] }] }, "'use' on child"],
    ['any service, by naming none', { limits, permissions: [may('.'), free[0]] }, "'provide' on service:*"],
    ['the kernel’s own thread', { ...base, isolation: 'inline' }, "isolation 'inline' instead of 'thread'"],
    ['more memory', { ...base, limits: { ...limits, memory: 4_000 } }, 'limits.memory 4000 instead of 128'],
    ['the limits that hold without any', { permissions: base.permissions }, 'limits.queue 1024 instead of 100'],
    ['another’s name', { ...base, name: 'admin' }, "the name 'admin'"],
    ['more restarts', { ...base, restart: { max: 10_000 } }, 'restart.max 10000 instead of 5'],
    ['restarts that are counted for less long', { ...base, restart: { within: 1_000 } }, 'restart.within 1000 instead of 60000'],
    ['a demotion that never comes', { ...base, restart: { demote: { after: 999 } } }, 'a restart.demote that comes later'],
    ['a role', { ...base, roles: ['admin'] }, "'use' on worker"],
  ])('is not given %s', async (_, manifest, more) => {
    const roles = { admin: [{ resource: 'worker', actions: ['use'] }] }
    const running = await rewritten(manifest, base, { roles, defaults: { restart: { demote: {} } } })
    const { kernel, folder, lines } = running
    const before = infoOf(kernel, 'p').permissions
    await eventually(() => expect(denied(running)).toBeDefined())
    const { name, error } = denied(running) as Running['faults'][number]
    expect([name, error.message]).toEqual(['p', expect.stringContaining(more)])
    expect(error.message).toMatch(/the plugin itself may write that file.*kernel\.reload\('p'\)/)
    expect(infoOf(kernel, 'p')).toMatchObject({ generation: 1, state: 'running', isolation: 'thread', permissions: before })
    expect(kernel.plugins()).toHaveLength(1)
    expect(lines.some(({ level, message }) => level === 'error' && message === error.message)).toBe(true)
    await kernel.stop()
    const audit = join(folder, '.data/.audit')
    expect(readdirSync(audit).map((file) => readFileSync(join(audit, file), 'utf8'))).toContainEqual(expect.stringContaining(more))
  })

  it('is not given tasks in a process, which would run outside of it, and in a thread it is', async () => {
    const tasks = { ...base, tasks: { any: 'index.js' } }
    const apart = await rewritten({ ...tasks, isolation: 'process' }, { ...base, isolation: 'process' })
    await eventually(() => expect(denied(apart)?.error.message).toContain("'use' on tasks"))
    expect(infoOf(apart.kernel, 'p')).toMatchObject({ generation: 1, state: 'running' })
    const inThread = await rewritten(tasks)
    await eventually(() => expect(infoOf(inThread.kernel, 'p')).toMatchObject({ generation: 2, state: 'running' }))
    expect(inThread.faults).toEqual([])
  })

  it('has it when the operator reloads it', async () => {
    const more = { ...base, permissions: [...base.permissions, { resource: 'net:*', actions: ['connect'] }] }
    const running = await rewritten(more)
    await eventually(() => expect(denied(running)).toBeDefined())
    await running.kernel.reload('p')
    expect(infoOf(running.kernel, 'p').permissions.map(({ resource }) => resource)).toContain('net:*')
  })

  it('is taken at its word where it asks for less', async () => {
    const less = { ...base, permissions: [free[0], may('.')], limits: { ...limits, queue: 50 }, isolation: 'process', services: undefined }
    const { permissions: _, ...rest } = less
    const running = await rewritten({ ...rest, permissions: [...free, may('./data')] })
    await eventually(() => expect(infoOf(running.kernel, 'p')).toMatchObject({ generation: 2, isolation: 'process', state: 'running' }))
    expect(running.faults).toEqual([])
  })

  it('goes on with what it was when it deletes it', async () => {
    const running = await startedWith({ p: { code: idle, manifest: { ...base, isolation: 'process' } } }, { watch })
    rmSync(join(running.folder, 'p/plugin.json'))
    await eventually(() => expect(denied(running)?.error.message).toContain("isolation 'thread' instead of 'process'"))
    expect(infoOf(running.kernel, 'p')).toMatchObject({ generation: 1, isolation: 'process', state: 'running' })
  })

  it('is not given it with the next change of its code, nor with that of another plugin', async () => {
    const running = await rewritten({ ...base, isolation: 'inline' })
    const { kernel, folder, faults } = running
    await eventually(() => expect(denied(running)).toBeDefined())
    const told = faults.length
    writeFileSync(join(folder, 'p/index.js'), `${writing}\n// changed`)
    await eventually(() => expect(faults.length).toBeGreaterThan(told))
    await kernel.load(writePlugin(folder, 'q', { code: idle, manifest: { dependencies: { p: '*' } } }))
    expect(infoOf(kernel, 'p')).toMatchObject({ generation: 1, isolation: 'thread' })
  })
})

it.each([
  ['whoever may not write it', [...free]],
  ['whoever may write another folder of its own', [...free, may('./cache')]],
])('a developer widens the manifest of %s, and it is taken at once', async (_, permissions) => {
  const { kernel, folder, faults } = await startedWith({ p: { code: idle, manifest: { permissions, limits } } }, { watch })
  const wide = { permissions: [...permissions, may('*')], limits: { memory: 512 }, isolation: 'process' }
  writePlugin(folder, 'p', { code: idle, manifest: wide })
  await eventually(() => expect(infoOf(kernel, 'p')).toMatchObject({ generation: 2, isolation: 'process', state: 'running' }))
  expect(faults).toEqual([])
})

it('what an operator grants is not up to the manifest, so it is taken whatever it asks for', async () => {
  const grants = { p: { permissions: [...free, may('.')] } }
  const { kernel } = await rewritten({ ...base, permissions: [may('*')] }, base, { grants })
  await eventually(() => expect(infoOf(kernel, 'p').generation).toBe(2))
  expect(infoOf(kernel, 'p').permissions.map(({ resource }) => resource)).not.toContain('fs:*')
})

describe('a plugin that may write where plugins lie', () => {
  const start = (manifest: object = {}): Promise<Running> =>
    startedWith(
      { p: { code: idle, manifest: { permissions: [...free, may('..')], limits, ...manifest } }, q: { code: idle, manifest: { limits } } },
      { watch },
    )

  it('does not widen the manifest of another', async () => {
    const running = await start()
    writePlugin(running.folder, 'q', { code: idle, manifest: { limits, permissions: [may('*')] } })
    await eventually(() => expect(denied(running)?.error.message).toContain("plugin 'p' may write that file"))
    expect(infoOf(running.kernel, 'q')).toMatchObject({ generation: 1, state: 'running' })
  })

  it('brings in no plugin that has more than itself, and one that has no more', async () => {
    const running = await start()
    const { kernel, folder } = running
    const path = writePlugin(folder, 'wide', { code: idle, manifest: { limits, permissions: [...free, may('*')] } })
    await eventually(() => expect(denied(running)?.error.message).toContain(`kernel.load('${path}')`))
    writePlugin(folder, 'tame', { code: idle, manifest: { limits, permissions: [...free] } })
    await eventually(() => expect(stateOf(kernel, 'tame')).toBe('running'))
    expect(kernel.plugins().map(({ name }) => name)).toEqual(['p', 'q', 'tame'])
    await kernel.load(path)
    expect(stateOf(kernel, 'wide')).toBe('running')
  })

  it('has no more when it is moved and lies elsewhere with another manifest, though it is gone then', async () => {
    const running = await start()
    const { kernel, folder } = running
    const wide = { name: 'p', permissions: [may('*')] }
    renameSync(join(folder, 'p'), join(folder, '.away'))
    writePlugin(folder, 'elsewhere', { code: idle, manifest: wide })
    await eventually(() => expect(denied(running)).toBeDefined())
    await eventually(() => expect(kernel.plugins().map(({ name }) => name)).toEqual(['q']))
    // And so it stays.
    await kernel.load(writePlugin(folder, 'late', { code: idle }))
    expect(kernel.plugins().flatMap(({ permissions }) => permissions.map(({ resource }) => resource))).not.toContain('fs:*')
  })
})
