import { utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { packageScope } from '#src/kernel/modules/package-scope.js'
import { tree, write } from '../../../support/tree.js'

const saysOf = async (folder: string): Promise<string> => (await packageScope([folder], [], folder)).says

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `package-${index}`)

describe('a package.json', () => {
  test('says the same of the modules in it while its type and its imports are the same', async () => {
    const root = tree({ 'package.json': { type: 'module', version: '1.0.0' } })
    const before = await saysOf(root)
    write(join(root, 'package.json'), { version: '2.0.0', type: 'module' })
    expect(await saysOf(root)).toBe(before)
    write(join(root, 'package.json'), { version: '2.0.0', type: 'module', imports: { '#a': './a.js' } })
    expect(await saysOf(root)).not.toBe(before)
  })

  test('that is too long to be looked into says another thing as soon as it is touched', async () => {
    const root = tree({ 'package.json': { type: 'module', description: 'x'.repeat(1_048_576) } })
    const before = await saysOf(root)
    expect(await saysOf(root)).toBe(before)
    utimesSync(join(root, 'package.json'), 1, 1)
    expect(await saysOf(root)).not.toBe(before)
  })

  test.each([
    ['much', { imports: Object.fromEntries(names(10_000).map((name) => [`#${name}`, `./${name}.js`])) }],
    ['more deeply than it can be written', `{ "imports": ${'['.repeat(100_000)}${']'.repeat(100_000)} }`],
  ])('that says %s is kept in a few bytes', async (_, content) => {
    expect((await saysOf(tree({ 'package.json': content }))).length).toBeLessThan(100)
  })

  test('is read once, however many folders of modules belong to it', async () => {
    const root = tree({ 'package.json': { type: 'module', description: 'x'.repeat(600_000) } })
    const folders = ['a', 'a/b', 'c'].map((folder) => join(root, folder))
    // Of what is too long to be read together with the others it would say another thing.
    const [first, ...others] = (await packageScope(folders, [], root)).says.split('\n')
    expect(others).toEqual([first, first, ''])
  })
})

describe('packages that are imported and are nowhere', () => {
  test('are waited for with what an installer writes, from the modules up to their package', async () => {
    const root = tree({ 'package.json': {}, 'node_modules/there/package.json': {} })
    const folder = join(root, 'src')
    const { files } = await packageScope([folder], ['there', 'gone/part', '@a/gone', 'gone', 'node:fs', '#own'], folder)
    const awaited = ['.package-lock.json', 'gone/package.json', '@a/gone/package.json']
    expect(files).toEqual([
      join(folder, 'package.json'),
      join(root, 'package.json'),
      ...[folder, root].flatMap((each) => awaited.map((file) => join(each, 'node_modules', file))),
    ])
  })

  test('are the first hundred of them, and no more than a thousand files', async () => {
    const root = tree({ 'package.json': {} })
    const filesOf = async (folder: string): Promise<string[]> => (await packageScope([folder], names(10_000), folder)).files
    expect(await filesOf(root)).toHaveLength(102)
    expect((await filesOf(join(root, ...names(50)))).length).toBeLessThan(1_100)
  })
})

test('however much there is to look at, others have their turn', async () => {
  const root = tree({ 'package.json': {} })
  const folders = names(10_000).map((name) => join(root, name))
  let turns = 0
  let done = false
  const counting = (async () => {
    for (; !done; turns++) await setImmediate()
  })()
  await packageScope(folders, [], dirname(root))
  done = true
  await counting
  expect(turns).toBeGreaterThan(1)
})
