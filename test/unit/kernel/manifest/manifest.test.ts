import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readPlugin } from '#src/kernel/manifest/plugin-source.js'
import { thrown } from '../../../support/thrown.js'
import { tree } from '../../../support/tree.js'

const withManifest = (manifest: object | string) => tree({ 'plugin.json': manifest, 'index.js': 'export default {}' })

describe('a manifest that is too much to look at', () => {
  test.each([
    ['has too many bytes', { name: 'evil', description: 'x'.repeat(300_000) }, /has 300\d{3} bytes, more than 262144/],
    [
      'is nested too deeply',
      `{"name":"evil","config":{"defaults":{"x":${'['.repeat(5_000)}${']'.repeat(5_000)}}}}`,
      /nested more than 100 levels deep/,
    ],
    [
      'has a range without an end',
      { name: 'evil', dependencies: { a: '>=1.0.0 || '.repeat(1_000) } },
      /dependencies\.a: must be a semver range/,
    ],
    [
      'has too many dependencies',
      { name: 'evil', dependencies: Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`a${i}`, '*'])) },
      /dependencies: must NOT have more than 1000/,
    ],
    [
      'asks for a resource without an end',
      { name: 'evil', permissions: [{ resource: `builtin:${'a'.repeat(5_000)}`, actions: ['import'] }] },
      /has 5008 characters, more than 4096/,
    ],
    [
      'asks for an action without an end',
      { name: 'evil', permissions: [{ resource: 'service:a', actions: [`call:${'a'.repeat(300)}`] }] },
      /has 305 characters, more than 256/,
    ],
  ])('%s: that is said, and no more', async (_, manifest, message) => {
    const error = await thrown(() => readPlugin(withManifest(manifest)))
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', message: expect.stringMatching(message) as string })
    expect(error.message.length).toBeLessThan(1_000)
  })

  test('of problems without number the first hundred are told', async () => {
    const unknown = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`key${i}`, 1]))
    const error = await thrown(() => readPlugin(withManifest({ name: 'evil', ...unknown })))
    expect(error.details?.['problems']).toHaveLength(100)
    expect(error.message).toContain('and more, told of once these are mended')
  })
})

describe('a manifest that is not valid', () => {
  const problemsOf = async (manifest: object | string) => {
    const root = withManifest(manifest)
    const error = await thrown(() => readPlugin(root))
    expect(error.code).toBe('MANIFEST_INVALID')
    expect(error.message).toContain(join(root, 'plugin.json'))
    return { message: error.message, problems: (error.details?.['problems'] ?? []) as { path: string; value?: unknown; message: string }[] }
  }

  test('names file, line and column of a syntax error', async () => {
    const { message } = await problemsOf('{\n  "name": "hello",\n  "version": "1.0.0",\n}')
    expect(message).toContain('plugin.json:4:1')
    expect(message).toContain("a comma before '}'")
  })

  test('a key that is there twice is refused, with its place', async () => {
    const error = await thrown(() => readPlugin(tree({ 'plugin.json': '{ "name": "one",\n "name": "two" }', 'index.js': module })))
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', details: { line: 2, column: 2 } })
    expect(error.message).toContain('the key "name" is there twice')
  })

  test('reports every problem at once', async () => {
    const { problems } = await problemsOf({
      name: 'Hello World',
      limits: { memory: 'lots', cpu: 3 },
      isolation: 'tread',
      dependencies: { db: 'latest!' },
    })
    expect(problems.map(({ path }) => path).sort()).toEqual(['isolation', 'limits.cpu', 'limits.memory', 'name'])
  })

  test.each([
    ['an unknown key', { name: 'hello', dependancies: {} }, 'dependancies', "Did you mean 'dependencies'?"],
    ['an unknown key in a part', { name: 'hello', limits: { memmory: 1 } }, 'limits.memmory', "Did you mean 'memory'?"],
    ['a word out of a list', { name: 'hello', isolation: 'treads' }, 'isolation', "Did you mean 'thread'?"],
    ['a wrong type', { name: 'hello', enabled: 'yes' }, 'enabled', "must be true or false, not 'yes'"],
    ['a number out of bounds', { name: 'hello', limits: { cpu: 1.5 } }, 'limits.cpu', 'at most 1, not 1.5'],
    [
      'a bad range',
      { name: 'hello', dependencies: { db: 'newest' } },
      'dependencies.db',
      "must be a semver range, such as '^1.0.0' or '*', not 'newest'",
    ],
    ['a dependency on itself', { name: 'hello', dependencies: { hello: '*' } }, 'dependencies.hello', 'cannot name itself'],
    ['a bad name of a dependency', { name: 'hello', dependencies: { 'The DB': '*' } }, 'dependencies["The DB"]', 'lower-case words'],
    ['a bad version', { name: 'hello', version: '1.0' }, 'version', "'1.4.0'"],
    ['a missing name', { nmae: 'hello' }, 'name', "Was 'nmae' meant to be 'name'?"],
    ['a permission without actions', { name: 'hello', permissions: [{ resource: 'x' }] }, 'permissions[0].actions', 'is missing'],
    ['a bad task', { name: 'hello', tasks: { resize: { path: 'x.js' } } }, 'tasks.resize.file', 'is missing'],
    ['activation by a stray word', { name: 'hello', activation: 'later' }, 'activation', "must be 'startup' or a list of topic patterns"],
    ['a list', [], '', 'must be an object, not []'],
  ])('%s: field, value, rule and mend', async (_, manifest, path, text) => {
    const { problems, message } = await problemsOf(manifest)
    const problem = problems.find((each) => each.path === path)
    expect(problem?.message, JSON.stringify(problems)).toContain(text)
    expect(message).toContain(path)
  })

  test('names the plugin where the name can be read', async () => {
    const error = await thrown(() => readPlugin(withManifest({ name: 'hello', limit: {} })))
    expect(error.plugin).toBe('hello')
  })

  test('a key named like a property of every object is an unknown key like any other', async () => {
    const { problems } = await problemsOf('{ "name": "hello", "__proto__": { "main": "x.js" }, "constructor": 1 }')
    expect(problems.map(({ path }) => path).sort()).toEqual(['__proto__', 'constructor'])
  })
})
