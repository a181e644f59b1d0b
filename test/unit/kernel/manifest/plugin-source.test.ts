import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readPlugin } from '#src/kernel/manifest/plugin-source.js'
import { thrown } from '../../../support/thrown.js'
import { tree } from '../../../support/tree.js'

const module = 'export default {}'
const withManifest = (manifest: object | string, files: Record<string, string> = { 'index.js': module }) =>
  tree({ 'plugin.json': manifest, ...files })

describe('a folder with a manifest', () => {
  test('is read with its schema defaults filled in, and nothing of the kernel options', async () => {
    const root = withManifest({ name: 'hello', version: '1.2.3', limits: { memory: 64 } })
    const source = readPlugin(root)
    expect(source).toMatchObject({
      name: 'hello',
      version: '1.2.3',
      path: root,
      root,
      entry: join(root, 'index.js'),
      manifestPath: join(root, 'plugin.json'),
      singleFile: false,
      readAt: expect.any(Number) as number,
      tasks: {},
    })
    expect(source.manifest).toEqual({
      name: 'hello',
      version: '1.2.3',
      enabled: true,
      onFailure: 'continue',
      dependencies: {},
      optionalDependencies: {},
      conflicts: {},
      roles: [],
      limits: { memory: 64 },
    })
  })

  test('may be named by its plugin.json', async () => {
    const root = withManifest({ name: 'hello' })
    expect(readPlugin(join(root, 'plugin.json'))).toMatchObject({ name: 'hello', path: root })
  })

  test.each([
    [['index.js', 'plugin.js', 'main.js'], 'index.js'],
    [['main.js', 'index.ts'], 'index.ts'],
    [['plugin.mjs', 'main.ts', 'helper.js'], 'plugin.mjs'],
  ])('with %j and no main runs %s', async (names, expected) => {
    const root = withManifest({ name: 'hello' }, Object.fromEntries(names.map((name) => [name, module])))
    expect(readPlugin(root).entry).toBe(join(root, expected))
  })

  test('finds its task modules', async () => {
    const files = { 'index.js': module, 'tasks/resize.js': module, 'tasks/crop.js': module }
    const root = withManifest(
      { name: 'hello', tasks: { resize: 'tasks/resize.js', crop: { file: './tasks/crop.js', concurrency: 2 } } },
      files,
    )
    expect(readPlugin(root).tasks).toEqual({
      resize: { file: join(root, 'tasks/resize.js') },
      crop: { file: join(root, 'tasks/crop.js'), concurrency: 2 },
    })
  })

  test('reached through a link keeps the path it was found at, and tracks both', async () => {
    const root = withManifest({ name: 'hello' })
    const link = join(tree(), 'current')
    symlinkSync(root, link)
    const source = readPlugin(link)
    expect(source).toMatchObject({ path: link, root, entry: join(root, 'index.js') })
    expect(source.tracked.sort()).toEqual(
      [join(link, 'index.js'), join(link, 'plugin.json'), join(root, 'index.js'), join(root, 'plugin.json')].sort(),
    )
  })
})

describe('a plugin without a manifest', () => {
  test('is a folder with an entry module, named after the folder', async () => {
    const root = tree({ 'price-watch/plugin.ts': module })
    const source = readPlugin(join(root, 'price-watch'))
    expect(source).toMatchObject({ name: 'price-watch', version: '0.0.0', entry: join(root, 'price-watch/plugin.ts'), singleFile: false })
    expect(source).not.toHaveProperty('manifestPath')
  })

  test.each(['.js', '.mjs', '.ts', '.mts'])('is one %s file, named after the file', async (ending) => {
    const root = tree({ [`price.watch${ending}`]: module })
    const source = readPlugin(join(root, `price.watch${ending}`))
    expect(source).toMatchObject({ name: 'price.watch', root, entry: join(root, `price.watch${ending}`), singleFile: true })
  })

  test('needs a name that fits, and the message proposes one', async () => {
    const root = tree({ 'PriceWatch.js': module })
    const error = await thrown(() => readPlugin(join(root, 'PriceWatch.js')))
    expect(error.code).toBe('MANIFEST_INVALID')
    expect(error.message).toContain("'PriceWatch'")
    expect(error.message).toContain("'price-watch'")
  })
})

describe('a main that is not there', () => {
  test.each([
    ['inde.js', { 'index.js': module }, "Did you mean 'index.js'?"],
    ['index', { 'index.js': module }, "Did you mean 'index.js'?"],
    ['nope.js', { 'server.mjs': module, 'notes.md': '' }, 'Modules there: server.mjs.'],
    ['src/start.js', { 'scr/start.js': module }, "Did you mean 'scr'?"],
  ])('(%s) is told with the likely one', async (main, files, says) => {
    const root = tree({ 'plugin.json': { name: 'a', main }, ...files })
    const error = await thrown(() => readPlugin(root))
    expect(error.code).toBe('PLUGIN_LOAD')
    expect(error.message).toContain(says)
    expect(error).not.toHaveProperty('cause')
  })
})

describe('what is no plugin', () => {
  test.each([
    ['an empty folder', {}, '.'],
    ['a path that is not there', {}, 'gone'],
    ['a folder that is not there, beside one of nearly its name', { 'gone2/x.js': '' }, 'gone'],
    ['a file that is no module', { 'notes.md': '' }, 'notes.md'],
    ['a declaration file', { 'types.d.ts': '' }, 'types.d.ts'],
    ['a test file', { 'hello.test.js': '' }, 'hello.test.js'],
  ])('%s is MANIFEST_MISSING, with the path', async (_, files, place) => {
    const path = join(tree(files), place)
    const error = await thrown(() => readPlugin(path))
    expect(error.code).toBe('MANIFEST_MISSING')
    expect(error.message).toContain(path)
  })
})

describe('the files a manifest names', () => {
  test.each(['../outside.js', '/etc/passwd', 'lib/../../outside.js', '..'])('main %s is outside the plugin', async (main) => {
    const root = tree({ 'outside.js': module, 'hello/plugin.json': { name: 'hello', main } })
    const error = await thrown(() => readPlugin(join(root, 'hello')))
    expect(error).toMatchObject({ code: 'PATH_OUTSIDE_PLUGIN', plugin: 'hello', details: { field: 'main', value: main } })
  })

  test('a link to a module outside is outside', async () => {
    const root = tree({ 'outside.js': module, 'hello/plugin.json': { name: 'hello', main: 'index.js' } })
    symlinkSync(join(root, 'outside.js'), join(root, 'hello/index.js'))
    const error = await thrown(() => readPlugin(join(root, 'hello')))
    expect(error.code).toBe('PATH_OUTSIDE_PLUGIN')
    expect(error.message).toContain(join(root, 'outside.js'))
  })

  test('a file whose name begins with two dots is inside', async () => {
    const root = withManifest({ name: 'hello', main: '..index.js' }, { '..index.js': module })
    expect(readPlugin(root).entry).toBe(join(root, '..index.js'))
  })

  test('a task outside is refused too', async () => {
    const root = tree({
      'outside.js': module,
      'hello/plugin.json': { name: 'hello', tasks: { x: '../outside.js' } },
      'hello/index.js': module,
    })
    const error = await thrown(() => readPlugin(join(root, 'hello')))
    expect(error).toMatchObject({ code: 'PATH_OUTSIDE_PLUGIN', details: { field: 'tasks.x' } })
  })

  test('a main that is not there suggests its neighbour', async () => {
    const error = await thrown(() => readPlugin(withManifest({ name: 'hello', main: 'idnex.js' })))
    expect(error).toMatchObject({ code: 'PLUGIN_LOAD', plugin: 'hello' })
    expect(error.message).toContain("Did you mean 'index.js'?")
  })

  test('a main that is a folder, and one that is no module, are refused', async () => {
    const folder = withManifest({ name: 'hello', main: 'lib' })
    mkdirSync(join(folder, 'lib'))
    expect((await thrown(() => readPlugin(folder))).code).toBe('PLUGIN_LOAD')
    for (const name of ['notes.md', 'plugin.cts']) {
      const text = withManifest({ name: 'hello', main: name }, { [name]: '' })
      expect((await thrown(() => readPlugin(text))).code).toBe('MANIFEST_INVALID')
    }
  })

  test.each([
    ['.', { 'index.js': module, 'only.cjs': '' }, "Did you mean 'index.js'?"],
    ['lib', { 'lib/run.js': module, 'other.js': '' }, "Did you mean 'lib/run.js'?"],
    ['lib', { 'lib/a.js': '', 'lib/b.js': '', 'c.js': '' }, 'Modules in it: a.js, b.js.'],
    ['lib', { 'lib/notes.md': '', 'c.js': '' }, 'There are no modules in it'],
  ])('a main that is the folder %j says what is in it', async (main, files, says) => {
    const error = await thrown(() => readPlugin(withManifest({ name: 'hello', main }, files)))
    expect(error).toMatchObject({ code: 'PLUGIN_LOAD', message: expect.stringMatching(/it is a folder/) })
    expect(error.message).toContain(says)
  })

  test('no main and no entry module is said so', async () => {
    const error = await thrown(() => readPlugin(withManifest({ name: 'hello' }, {})))
    expect(error).toMatchObject({ code: 'PLUGIN_LOAD', plugin: 'hello' })
  })
})
