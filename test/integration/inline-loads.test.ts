/** An inline plugin is what its file holds when it is loaded, however often, and in whichever kernel of the process. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createKernel, type Kernel } from 'plugbay'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, keptLog, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { save } from '../support/save.js'

type Module = [main: string, code: (word: string) => string]

const MODULES: [Module, ...Module[]] = [
  [
    'index.js',
    (word) => `let calls = 0\nexport default { start: (ctx) => ctx.services.provide('s', { word: () => '${word}' + ++calls }) }`,
  ],
  [
    'index.ts',
    (word) =>
      `let calls: number = 0\nexport default { start: (ctx: any) => ctx.services.provide('s', { word: () => '${word}' + ++calls }) }`,
  ],
  [
    'index.cjs',
    (word) => `let calls = 0\nmodule.exports = { start: (ctx) => ctx.services.provide('s', { word: () => '${word}' + ++calls }) }`,
  ],
]

const INLINE = { defaults: { isolation: 'inline' } } as const

const word = async (kernel: Kernel): Promise<unknown> => {
  const { word: asked } = (await kernel.services.use('s')) as unknown as { word: () => Promise<unknown> }
  return await asked()
}

const another = async (folder: string): Promise<Kernel> => {
  const kernel = await createKernel({ plugins: folder, dataDir: join(folder, '.data'), logger: keptLog().logger, ...INLINE })
  onTestFinished(() => kernel.stop())
  await kernel.start()
  return kernel
}

describe.each(MODULES)('an inline plugin, %s,', (main, code) => {
  it('that is unloaded, saved and loaded runs what was saved', async () => {
    const { kernel, folder } = await startedWith({ p: { main, code: code('old') } }, INLINE)
    expect(await word(kernel)).toBe('old1')
    await kernel.unload('p')
    await kernel.load(writePlugin(folder, 'p', { main, code: code('new') }))
    expect(await word(kernel)).toBe('new1')
    await kernel.reload('p')
    expect(await word(kernel)).toBe('new1')
  })

  it('shares no variable with its like in another kernel, and is there what its file holds by then', async () => {
    const folder = emptyFolder()
    writePlugin(folder, 'p', { main, code: code('old') })
    const first = await another(folder)
    const second = await another(folder)
    expect([await word(first), await word(first), await word(second)]).toEqual(['old1', 'old2', 'old1'])
    await first.stop()
    writePlugin(folder, 'p', { main, code: code('new') })
    expect(await word(await another(folder))).toBe('new1')
  })
})

it('an inline plugin that is removed and dropped in again runs what was dropped in', async () => {
  const [[main, code]] = MODULES
  const { kernel, folder } = await startedWith({ p: { main, code: code('old') } }, { ...INLINE, watch: true })
  expect(await word(kernel)).toBe('old1')
  rmSync(join(folder, 'p'), { recursive: true })
  await eventually(() => expect(kernel.plugins()).toEqual([]))
  writePlugin(folder, 'p', { main, code: code('new') })
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('running'))
  expect(await word(kernel)).toMatch(/^new/)
})

describe('an inline plugin that imports a file of its own', () => {
  const remarks = ({ lines }: Running): [level: string, message: string][] =>
    lines.flatMap(({ level, message }) => (message.includes('runs on') ? [[level, message]] : []))
  const entry = (remark = ''): string =>
    `import { word } from './lib/word.js'\nexport default { start: (ctx) => ctx.services.provide('s', { word: () => word }) }${remark}`

  it('is told to run its old code once that is saved, and what to do, each time that it is replaced', async () => {
    const running = await startedWith({}, { ...INLINE, watch: true })
    save(running, { 'p/lib/word.js': "export const word = 'old'", 'p/index.js': entry(), 'p/plugin.json': '{ "name": "p" }' })
    await eventually(() => expect(stateOf(running.kernel, 'p')).toBe('running'))
    save(running, { 'p/index.js': entry('// saved') })
    await eventually(() => expect(running.replaced).toHaveLength(1))
    expect(remarks(running)).toEqual([])
    for (const times of [1, 2]) {
      save(running, times === 1 ? { 'p/lib/word.js': "export const word = 'new'" } : { 'p/index.js': entry('// again') })
      await eventually(() => expect(remarks(running)).toHaveLength(times))
    }
    expect(remarks(running)[0]).toEqual([
      'warn',
      `The old code of ${join('lib', 'word.js')} runs on: of an inline plugin only the entry is loaded anew, what it imports Node loads once in a process. ` +
        'Restart the process, or give the plugin "isolation": "thread" as long as you work on it.',
    ])
    expect(await word(running.kernel)).toBe('old')
  })

  it('is not, where a thread loads it', async () => {
    const running = await startedWith({ p: entry() }, { watch: true })
    save(running, { 'p/lib/word.js': "export const word = 'old'" })
    await eventually(() => expect(stateOf(running.kernel, 'p')).toBe('running'))
    save(running, { 'p/lib/word.js': "export const word = 'new'" })
    await eventually(async () => expect(await word(running.kernel)).toBe('new'))
    expect(remarks(running)).toEqual([])
  })
})
