/** Files and requests through the kernel, asked for in a plugin's own thread. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { serve } from '../support/http-server.js'
import { pluginCode, startedWith } from '../support/plugin-folder.js'

/** A plugin that runs what it is sent as the body of a function of ctx, and publishes the outcome. */
const RUNNER = pluginCode({
  start: `ctx.bus.subscribe('run', async ({ data }) => {
      const outcome = await new (async () => {}).constructor('ctx', data)(ctx).then((value) => ({ value }), ({ name, code, message }) => ({ name, code, message }))
      await ctx.bus.publish('outcome', outcome)
    })`,
})

const FETCHER = pluginCode({ start: "await ctx.services.provide('fetcher', { get: async (url) => (await ctx.fetch(url)).text() })" })

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
  const { value: dataDir } = (await run('return ctx.dataDir')) as { value: string }
  return { run, dataDir, faults }
}

describe.each(['thread', 'inline'] as const)('a plugin in a place of kind %s', (isolation) => {
  it('has files through ctx.fs', async () => {
    const { run, dataDir } = await running(isolation)
    expect(
      await run(`await ctx.fs.writeFile('notes/../a.txt', 'hello'); return [await ctx.fs.readFile('a.txt', 'utf8'), ctx.dataDir]`),
    ).toEqual({
      value: ['hello', expect.any(String) as string],
    })
    expect(readFileSync(join(dataDir, 'a.txt'), 'utf8')).toBe('hello')
    expect(await run('return [...await ctx.fs.readFile("a.txt")]')).toEqual({ value: [...Buffer.from('hello')] })
    expect(await run('return (await ctx.fs.stat("a.txt")).modified instanceof Date')).toEqual({ value: true })
    expect(await run('return ctx.fs.readFile("none")')).toMatchObject({ code: 'ENOENT' })
    expect(await run('await ctx.fs.mkdir("dir"); return ctx.fs.readdir(".")')).toEqual({
      value: [
        { name: 'a.txt', kind: 'file' },
        { name: 'dir', kind: 'folder' },
      ],
    })
  })

  it.each([
    ['small', 1],
    ['large', 100_000],
  ])('reads a %s file as it is, and its text as Node does: with what it begins with, and whatever is no text', async (_, times) => {
    const { run, dataDir } = await running(isolation)
    const odd = [0xef, 0xbb, 0xbf, 0x61, 0xff, 0xc3, 0x28, 0xe2, 0x82, 0x0a, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x98]
    const content = Buffer.concat(Array.from({ length: times }, () => Buffer.from(odd)))
    writeFileSync(join(dataDir, 'odd'), content)
    const { value } = await run(`
      const sum = (bytes) => bytes.reduce((sum, byte) => (sum * 31 + byte) % 65521, 7)
      const [bytes, text] = [await ctx.fs.readFile('odd'), await ctx.fs.readFile('odd', 'utf8')]
      const many = await Promise.all(Array.from({ length: 40 }, () => ctx.fs.readFile('odd')))
      return { kind: bytes.constructor.name, lies: [bytes.byteOffset, bytes.buffer.byteLength], sum: sum(bytes), begins: text.slice(0, 12),
        length: text.length, sumOfText: sum(new TextEncoder().encode(text)), many: many.every(({ length }) => length === bytes.length) }`)
    const sum = (bytes: Uint8Array): number => bytes.reduce((all, byte) => (all * 31 + byte) % 65_521, 7)
    const text = content.toString('utf8')
    expect(value).toEqual({
      kind: 'Uint8Array',
      lies: [0, content.length],
      sum: sum(content),
      begins: text.slice(0, 12),
      length: text.length,
      sumOfText: sum(Buffer.from(text)),
      many: true,
    })
  })

  it('is refused what it was not granted, by name, and the kernel tells of it', async () => {
    const { run, dataDir, faults } = await running(isolation)
    expect(await run('return ctx.fs.readFile("/etc/hostname", "utf8")')).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining("Plugin 'p' may not read '/etc/hostname'") as string,
    })
    expect(await run('return ctx.fs.writeFile("../../escaped", "x")')).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(existsSync(join(dataDir, '../../escaped'))).toBe(false)
    expect(await run('return ctx.fetch("http://127.0.0.1:9/")')).toMatchObject({ code: 'PERMISSION_DENIED' })
    const denied = (resource: string, action: string) => ({ code: 'PERMISSION_DENIED', details: { resource, action } })
    expect(faults.map(({ error }) => error)).toMatchObject([
      denied('fs:/etc/hostname', 'read'),
      denied(expect.stringMatching(/^fs:.*escaped$/) as string, 'write'),
      denied('net:127.0.0.1:9', 'connect'),
    ])
  })

  it('has requests made while it runs, and their connections end with it', async () => {
    const { url, server } = await serve((_request, response) => response.end('hello'))
    server.keepAliveTimeout = 60_000
    let open = 0
    server.on('connection', (socket) => {
      open++
      socket.once('close', () => open--)
    })
    const permissions = [{ resource: 'net:127.0.0.1', actions: ['connect'] }]
    const { kernel } = await startedWith({ p: { code: FETCHER, manifest: { isolation, permissions } } })
    const { get } = (await kernel.services.use('fetcher')) as unknown as { get(url: string): Promise<string> }
    expect(await get(url)).toBe('hello')
    expect(open).toBe(1)
    await kernel.unload('p')
    // Sooner than those that nobody needs are closed anyway.
    await vi.waitFor(() => expect(open).toBe(0), 8_000)
  })
})
