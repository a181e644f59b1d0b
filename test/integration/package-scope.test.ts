/** What is around a plugin's modules, and decides how they are read, is watched as they are. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, infoOf, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const sound = pluginCode({ start: '' })

/** Puts a file there whole, so that each save is one change. */
const save = (path: string, content: string | object): void => {
  const aside = join(emptyFolder(), 'saved')
  writeFileSync(aside, typeof content === 'string' ? content : JSON.stringify(content))
  mkdirSync(dirname(path), { recursive: true })
  renameSync(aside, path)
}

const watching = async (files: Record<string, string | object>) => {
  const base = emptyFolder()
  for (const [path, content] of Object.entries(files)) save(join(base, path), content)
  return { ...(await startedWith({}, { base, plugins: join(base, 'plugins'), watch: true })), base }
}

it('plugins that failed over a package.json start when that is mended, or one that is nearer comes', async () => {
  const { kernel, base } = await watching({
    'package.json': { type: 'commonjs' },
    'plugins/a.js': sound,
    'plugins/b/index.js': sound,
  })
  const states = (): string[] => ['a', 'b'].map((name) => stateOf(kernel, name))
  expect(states()).toEqual(['failed', 'failed'])
  save(join(base, 'plugins/b/package.json'), { type: 'module' })
  await eventually(() => expect(states()).toEqual(['failed', 'running']))
  save(join(base, 'package.json'), { type: 'module' })
  await eventually(() => expect(states()).toEqual(['running', 'running']))
})

it('a package.json that takes the modules of a running plugin for CommonJS is told, and is so until it goes', async () => {
  const { kernel, base, faults, replaced } = await watching({ 'package.json': { type: 'module' }, 'plugins/a/index.js': sound })
  save(join(base, 'plugins/a/package.json'), { type: 'commonjs' })
  await eventually(() => expect(faults.map(({ error }) => error.message)).toEqual([expect.stringContaining('"type": "commonjs"')]))
  expect(stateOf(kernel, 'a')).toBe('running')
  rmSync(join(base, 'plugins/a/package.json'))
  await eventually(() => expect(replaced.map(({ name }) => name)).toEqual(['a']))
})

it('a package.json that goes as soon as it is told is missed by nobody', async () => {
  const { kernel, base, replaced } = await watching({ 'package.json': { type: 'module' }, 'plugins/a/index.js': sound })
  kernel.on('plugin:fault', () => rmSync(join(base, 'plugins/a/package.json')))
  save(join(base, 'plugins/a/package.json'), { type: 'commonjs' })
  await eventually(() => expect(replaced.map(({ name }) => name)).toEqual(['a']))
})

it('what else a package.json says replaces nobody', async () => {
  const { kernel, base, replaced } = await watching({
    'plugins/package.json': { type: 'module' },
    'plugins/a.js': sound,
    'plugins/b.js': `import it from './package.json' with { type: 'json' }\nexport default { start: () => it }`,
  })
  expect([stateOf(kernel, 'a'), stateOf(kernel, 'b')]).toEqual(['running', 'running'])
  save(join(base, 'plugins/package.json'), { type: 'module', dependencies: { other: '1.0.0' } })
  // Who imports it takes it whole.
  await eventually(() => expect(replaced.map(({ name }) => name)).toEqual(['b']))
  save(join(base, 'plugins/a.js'), pluginCode({ start: `await ctx.services.provide('saved', { x() {} })` }))
  await eventually(() => expect(kernel.services.list()).toHaveLength(1))
  await eventually(() => expect(replaced.map(({ name }) => name)).toEqual(['b', 'a']))
  expect(infoOf(kernel, 'a').generation).toBe(2)
})

it('a plugin that imports a package which is not there starts when that is installed', async () => {
  const { kernel, base } = await watching({
    'package.json': { type: 'module' },
    'node_modules/first/package.json': { name: 'first', version: '1.0.0' },
    'plugins/a.js': `import { name } from 'other'\nexport default { start: () => name }`,
  })
  expect(stateOf(kernel, 'a')).toBe('failed')
  save(join(base, 'node_modules/other/index.js'), "export const name = 'other'")
  save(join(base, 'node_modules/other/package.json'), { name: 'other', version: '1.0.0', type: 'module', main: 'index.js' })
  await eventually(() => expect(stateOf(kernel, 'a')).toBe('running'))
})
