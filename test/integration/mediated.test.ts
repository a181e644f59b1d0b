/** Files and requests through the kernel, asked for in a plugin's own thread. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith } from '../support/plugin-folder.js'

/** A plugin that runs what it is sent as the body of a function of ctx, and publishes the outcome. */
const RUNNER = pluginCode({
  start: `ctx.bus.subscribe('run', async ({ data }) => {
      const outcome = await new (async () => {}).constructor('ctx', data)(ctx).then((value) => ({ value }), ({ name, code, message }) => ({ name, code, message }))
      await ctx.bus.publish('outcome', outcome)
    })`,
})

const running = async (isolation: 'thread' | 'inline') => {
  const { kernel, faults } = await startedWith({ p: { code: RUNNER, manifest: { isolation } } })
  const outcomes: Record<string, unknown>[] = []
  kernel.bus.subscribe('outcome', ({ data }) => outcomes.push(data as Record<string, unknown>))
  const run = async (code: string) => {
    const count = outcomes.length
    await kernel.bus.publish('run', code)
    await eventually(() => expect(outcomes).toHaveLength(count + 1))
    return outcomes[count]
  }
  return { run, kernel, faults }
}

describe.each(['thread', 'inline'] as const)('a plugin in a place of kind %s', (isolation) => {
  it('has files through ctx.fs', async () => {
    const { run } = await running(isolation)
    expect(
      await run(`await ctx.fs.writeFile('notes/../a.txt', 'hello'); return [await ctx.fs.readFile('a.txt', 'utf8'), ctx.dataDir]`),
    ).toEqual({
      value: ['hello', expect.any(String) as string],
    })
    const { value } = (await run('return ctx.dataDir')) as { value: string }
    expect(readFileSync(join(value, 'a.txt'), 'utf8')).toBe('hello')
    expect(await run('return [...await ctx.fs.readFile("a.txt")]')).toEqual({ value: [...Buffer.from('hello')] })
    expect(await run('return (await ctx.fs.stat("a.txt")).modified instanceof Date')).toEqual({ value: true })
    expect(await run('return ctx.fs.readFile("none")')).toMatchObject({ code: 'ENOENT' })
  })

  it('is refused what it was not granted, by name, and the kernel tells of it', async () => {
    const { run, faults } = await running(isolation)
    expect(await run('return ctx.fs.readFile("/etc/hostname", "utf8")')).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining("Plugin 'p' may not read '/etc/hostname'") as string,
    })
    expect(await run('return ctx.fs.writeFile("../../escaped", "x")')).toMatchObject({ code: 'PERMISSION_DENIED' })
    const { value } = (await run('return ctx.dataDir')) as { value: string }
    expect(existsSync(join(value, '../../escaped'))).toBe(false)
    expect(await run('return ctx.fetch("http://127.0.0.1:9/")')).toMatchObject({ code: 'PERMISSION_DENIED' })
    const denied = (resource: string, action: string) => ({ code: 'PERMISSION_DENIED', details: { resource, action } })
    expect(faults.map(({ error }) => error)).toMatchObject([
      denied('fs:/etc/hostname', 'read'),
      denied(expect.stringMatching(/^fs:.*escaped$/) as string, 'write'),
      denied('net:127.0.0.1:9', 'connect'),
    ])
  })
})
