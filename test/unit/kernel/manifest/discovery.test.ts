import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { discover } from '#src/kernel/manifest/discovery.js'
import { tree } from '../../../support/tree.js'

const module = 'export default {}'

describe('discovery', () => {
  test('finds folders with a manifest, folders with an entry, and single modules, sorted by name', async () => {
    const root = tree({
      'plugins/zebra/plugin.json': { name: 'ant' },
      'plugins/zebra/index.js': module,
      'plugins/bee/index.mjs': module,
      'plugins/cat.ts': module,
    })
    const { found, faults, folders } = discover('./plugins', root)
    expect(found.map(({ name }) => name)).toEqual(['ant', 'bee', 'cat'])
    expect(faults).toEqual([])
    expect(folders).toEqual([join(root, 'plugins')])
  })

  test('passes by what is no plugin', async () => {
    const root = tree({
      'p/.hidden/index.js': module,
      'p/.dot.js': module,
      'p/node_modules/index.js': module,
      'p/hello.test.js': module,
      'p/hello.spec.ts': module,
      'p/types.d.ts': '',
      'p/README.md': '',
      'p/data.json': '{}',
      'p/assets/logo.svg': '',
      'p/hello.js': module,
    })
    const { found, faults, passedOver } = discover('p', root)
    expect(found.map(({ name }) => name)).toEqual(['hello'])
    expect([faults, passedOver]).toEqual([[], []])
  })

  test.each([
    ['a folder whose module has another name', { 'p/foo/foo.js': module }, 'foo', ['index, plugin, main', 'It has foo.js', 'plugin.json']],
    ['a folder whose module is for a tool', { 'p/up/index.jsx': module }, 'up', ['It has index.jsx']],
    [
      'a folder with a package alone',
      { 'p/bar/package.json': { main: 'src/index.js' }, 'p/bar/src/index.js': module },
      'bar',
      ['package.json is not asked'],
    ],
    ['a module that is no ES module', { 'p/x.cjs': module }, 'x.cjs', ['.js, .mjs, .ts, .mts']],
  ])('tells of %s', (_, files, name, says) => {
    const root = tree({ ...files, 'p/ok.js': module })
    const { found, faults, passedOver } = discover('p', root)
    expect([found.map((each) => each.name), faults]).toEqual([['ok'], []])
    expect(passedOver.map(({ code, details }) => [code, details?.path])).toEqual([['MANIFEST_MISSING', join(root, 'p', name)]])
    for (const text of says) expect(passedOver[0]?.message).toContain(text)
  })

  test('does not tell of a folder that is a place of its own', () => {
    const root = tree({ 'p/more/late.js': module, 'p/ok.js': module })
    expect(discover(['p', 'p/more'], root).passedOver).toEqual([])
  })

  test('takes the path of one plugin for what it is', async () => {
    const root = tree({ 'a/plugin.json': { name: 'a' }, 'a/index.js': module, 'b.js': module, 'c/main.js': module })
    const { found, folders } = discover(['a', './b.js', join(root, 'c')], root)
    expect(found.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    expect(folders).toEqual([])
  })

  test('a folder of plugins may hold a module named like an entry', async () => {
    const root = tree({ 'p/main.js': module, 'p/other/plugin.json': { name: 'other' }, 'p/other/index.js': module })
    expect(discover('p', root).found.map(({ name }) => name)).toEqual(['main', 'other'])
  })

  test('one bad plugin hides no other', async () => {
    const root = tree({
      'p/bad/plugin.json': '{ "name": ',
      'p/worse/plugin.json': { name: 'worse', main: '../x.js' },
      'p/good/plugin.json': { name: 'good' },
      'p/good/index.js': module,
    })
    const { found, faults } = discover('p', root)
    expect(found.map(({ name }) => name)).toEqual(['good'])
    expect(faults.map(({ path, error }) => [path, error.code])).toEqual([
      [join(root, 'p/bad'), 'MANIFEST_INVALID'],
      [join(root, 'p/worse'), 'PATH_OUTSIDE_PLUGIN'],
    ])
  })

  test('what a manifest is to be is not looked for in one that is too long to be read', () => {
    const abort = { onFailure: 'abort', name: 'long', description: 'x'.repeat(262_144) }
    const root = tree({ 'p/long/plugin.json': abort, 'p/short/plugin.json': { ...abort, description: 1 } })
    const { faults } = discover('p', root)
    expect(faults.map(({ path, mustRun }) => [path, mustRun])).toEqual([
      [join(root, 'p/long'), false],
      [join(root, 'p/short'), true],
    ])
    expect(faults[0]?.error.message).toContain('more than 262144')
  })

  test('of two plugins with one name the first stays, and the fault names both', async () => {
    const root = tree({
      'p/a/plugin.json': { name: 'same' },
      'p/a/index.js': module,
      'p/b/plugin.json': { name: 'same' },
      'p/b/index.js': module,
    })
    const { found, faults } = discover('p', root)
    expect(found.map(({ path }) => path)).toEqual([join(root, 'p/a')])
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatchObject({ path: join(root, 'p/b'), error: { code: 'PLUGIN_DUPLICATE', plugin: 'same' } })
    expect(faults[0]?.error.message).toContain(join(root, 'p/a'))
    expect(faults[0]?.error.message).toContain(join(root, 'p/b'))
  })

  test('a plugin named by two places is found once', async () => {
    const root = tree({ 'p/a/index.js': module })
    const { found, faults } = discover(['p', 'p/a', 'p'], root)
    expect(found).toHaveLength(1)
    expect(faults).toEqual([])
  })

  test('a place that is not there is a fault that suggests its neighbour', async () => {
    const root = tree({ 'plugins/a.js': module })
    const { found, faults } = discover('./plguins', root)
    expect(found).toEqual([])
    expect(faults[0]).toMatchObject({ path: join(root, 'plguins'), error: { code: 'OPTIONS_INVALID' } })
    expect(faults[0]?.error.message).toContain("Did you mean 'plugins'?")
  })

  test('a place in a folder that is empty suggests nothing: the folder itself is there', () => {
    const root = tree({})
    mkdirSync(join(root, '639-3'))
    const { faults } = discover('./3-369', join(root, '639-3'))
    expect(faults[0]?.error.message).toBe(`plugins names ${join(root, '639-3', '3-369')}, which is not there.`)
  })

  test('a link that leads nowhere is a fault; one to a plugin is a plugin', async () => {
    const root = tree({ 'elsewhere/real/plugin.json': { name: 'linked' }, 'elsewhere/real/index.js': module, 'p/ok.js': module })
    symlinkSync(join(root, 'gone'), join(root, 'p/broken'))
    symlinkSync(join(root, 'elsewhere/real'), join(root, 'p/link'))
    const { found, faults } = discover('p', root)
    expect(found.map(({ name }) => name)).toEqual(['linked', 'ok'])
    expect(faults.map(({ path, error }) => [path, error.code])).toEqual([[join(root, 'p/broken'), 'MANIFEST_MISSING']])
  })
})
