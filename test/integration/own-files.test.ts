/** What a plugin that names files which it writes itself as its modules can make of that where files are watched. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, pluginCode, type Running, startedWith } from '../support/plugin-folder.js'

const watch = { settle: 20 }
const idle = pluginCode({ start: '' })

/** It never imports that, and writes a file of its data folder when it is asked to. */
const importing = (file: string): string =>
  pluginCode(
    {
      start: `ctx.bus.subscribe('write', async ({ data }) => { await ctx.fs.writeFile('x.json', String(data)); await ctx.bus.publish('written') })`,
    },
    `if (0) import('${file}')`,
  )

/** Resolves when another plugin that was saved now is replaced: what was written before has been judged by then. */
const judged = async ({ kernel, folder, replaced }: Running): Promise<void> => {
  writeFileSync(join(folder, 'z/index.js'), `${idle}\n// ${performance.now()}`)
  const before = replaced.filter(({ name }) => name === 'z').length
  await eventually(() => expect(replaced.filter(({ name }) => name === 'z').length).toBeGreaterThan(before))
  expect(infoOf(kernel, 'z').state).toBe('running')
}

describe('what lies in the kernel’s own folders is no file of a plugin', () => {
  it.each<[string, string, (folder: string) => void]>([
    ['a file in its data folder', '../.data/p/x.json', (folder) => writeFileSync(join(folder, '.data/p/x.json'), '0')],
    ['one that is still to come', '../.data/p/x.json', () => {}],
    [
      'one that it has a link to',
      './x.json',
      (folder) => {
        writeFileSync(join(folder, '.data/p/x.json'), '0')
        symlinkSync('../.data/p/x.json', join(folder, 'p/x.json'))
      },
    ],
    ['one in a folder that it has a link to', './data/x.json', (folder) => symlinkSync('../.data/p', join(folder, 'p/data'))],
    ['the audit log', '../.data/.audit/000000000000001.jsonl', () => {}],
  ])('not %s', async (_, file, prepare) => {
    const running = await kernelWith({ p: importing(file), z: idle }, { watch, audit: true })
    const { kernel, folder, replaced } = running
    mkdirSync(join(folder, '.data/p'), { recursive: true })
    prepare(folder)
    await kernel.start()
    let written = 0
    kernel.bus.subscribe('written', () => void written++)
    for (let write = 1; write <= 2; write++) {
      await kernel.bus.publish('write', write)
      await eventually(() => expect(written).toBe(write))
      await judged(running)
    }
    expect(replaced.filter(({ name }) => name === 'p')).toEqual([])
    expect(infoOf(kernel, 'p').generation).toBe(1)
  })

  it('but for one that lies there itself', async () => {
    const { kernel, folder } = await kernelWith({}, { watch, dataDir: '.' })
    mkdirSync(join(folder, 'store/p'), { recursive: true })
    writeFileSync(join(folder, 'store/p/index.js'), idle)
    await kernel.start()
    await kernel.load('store/p')
    writeFileSync(join(folder, 'store/p/index.js'), `${idle}\n// saved`)
    await eventually(() => expect(infoOf(kernel, 'p').generation).toBe(2))
  })
})

describe('a plugin that may write its own folder, and writes it anew whenever it runs', () => {
  const permissions = [{ resource: 'fs:.', actions: ['read', 'write'] }]
  const named = "if (0) import('./x.json')"
  const write = "await ctx.fs.writeFile('../../p/x.json', String(Math.random()))"
  const writing = pluginCode({ start: `setTimeout(async () => { ${write}.catch(() => {}) })` }, named)

  it('is replaced twenty times at once, then once a second, and others do not wait for it', { timeout: 90_000 }, async () => {
    const running = await startedWith({ p: { code: writing, manifest: { permissions, isolation: 'inline' } }, z: idle }, { watch })
    const began = performance.now()
    const times = (count: number): Promise<void> =>
      vi.waitFor(() => expect(infoOf(running.kernel, 'p').generation).toBeGreaterThan(count), { timeout: 80_000, interval: 20 })
    await times(21)
    await judged(running)
    await times(24)
    expect(performance.now() - began).toBeGreaterThan(2_800)
  })

  it('is given up when it crashes as often as that', { timeout: 90_000 }, async () => {
    const restart = { max: 2, within: 600_000, backoff: { initial: 1_000, max: 1_000 } }
    const code = pluginCode({ start: `${write}\nsetTimeout(() => { throw new Error('again') })` }, named)
    const { faults } = await startedWith({ p: { code, manifest: { permissions, restart } } }, { watch })
    const codes = (): unknown[] => faults.map(({ error }) => (error as { code?: string }).code)
    await vi.waitFor(() => expect(codes()).toContain('PLUGIN_CRASH_LOOP'), { timeout: 80_000, interval: 20 })
    // Twenty changes of its files have given it its restarts anew.
    expect(codes().length).toBeGreaterThan(20)
  })
})
