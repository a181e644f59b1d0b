import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfigFile } from '#src/kernel/options/config-file.js'
import { resolveOptions } from '#src/kernel/options/options.js'
import { thrown } from '../../../support/thrown.js'
import { tree } from '../../../support/tree.js'

describe('a configuration file', () => {
  test.each([
    ['plugbay.config.js', "export default { plugins: './p', standby: 2 }"],
    ['plugbay.config.mjs', "export default { plugins: './p', standby: 2 }"],
    ['plugbay.config.ts', "type T = { plugins: string }\nexport default { plugins: './p', standby: 2 } satisfies T & { standby: number }"],
    ['plugbay.config.json', '{ "$schema": "x", "plugins": "./p", "standby": 2 }'],
    ['plugbay.config.yaml', 'plugins: ./p\nstandby: 2\n'],
    ['plugbay.config.yml', 'plugins: ./p\nstandby: 2\n'],
  ])('%s is found in its folder, which its paths are relative to', async (name, text) => {
    const root = tree({ [name]: text, 'package.json': { type: 'module' } })
    const expected = { plugins: './p', standby: 2, base: root }
    expect(await loadConfigFile(root)).toEqual(expected)
    expect(await loadConfigFile(join(root, name))).toEqual(expected)
    expect(resolveOptions(await loadConfigFile(root)).plugins).toEqual([join(root, 'p')])
  })

  test('none in a folder is undefined', async () => {
    expect(await loadConfigFile(tree({ 'other.json': {} }))).toBeUndefined()
  })

  test('is asked for by its path, as a text', async () => {
    for (const place of [5, undefined, ''])
      expect(await thrown(() => loadConfigFile(place as never))).toMatchObject({
        code: 'OPTIONS_INVALID',
        message: expect.stringContaining('the path of a folder or a file'),
      })
  })

  test('in TypeScript may import its neighbours, and leaves nothing behind', async () => {
    const root = tree({
      'plugbay.config.ts': "import { n } from './n.mjs'\nconst standby: number = n\nexport default { standby }",
      'n.mjs': 'export const n = 3',
    })
    expect(await loadConfigFile(root)).toMatchObject({ standby: 3 })
    expect(readdirSync(root).sort()).toEqual(['n.mjs', 'plugbay.config.ts'])
  })

  test('is read anew after it changed', async () => {
    const root = tree({ 'plugbay.config.mjs': 'export default { standby: 1 }' })
    await loadConfigFile(root)
    writeFileSync(join(root, 'plugbay.config.mjs'), 'export default { standby: 22 }')
    expect(await loadConfigFile(root)).toMatchObject({ standby: 22 })
  })

  test('two of them are one too many', async () => {
    const error = await thrown(() => loadConfigFile(tree({ 'plugbay.config.mjs': '', 'plugbay.config.yaml': '' })))
    expect(error.code).toBe('OPTIONS_INVALID')
    expect(error.message).toContain('plugbay.config.mjs and plugbay.config.yaml')
  })

  test.each([
    ['plugbay.config.json', '{\n  "plugins": 5,,\n}', 'plugbay.config.json:2:16'],
    ['plugbay.config.yaml', 'plugins: ./p\nwatch: [true\n', 'plugbay.config.yaml:3:1'],
    ['plugbay.config.mjs', 'const a = 1\nexport default { a b }', 'plugbay.config.mjs:2'],
    ['plugbay.config.mjs', "const a = 1\nthrow new Error('boom')", 'plugbay.config.mjs:2'],
    ['plugbay.config.mjs', "import './gone.mjs'\nexport default {}", 'gone.mjs'],
    ['plugbay.config.ts', "import './gone.ts'\nexport default {}", 'gone.ts'],
    ['plugbay.config.ts', 'const a = 1\nenum B { C }\nexport default { a }', 'plugbay.config.ts:2'],
    ['plugbay.config.ts', 'enum B { C }\nexport default { B }', 'Use a plain object `as const`'],
    [
      'plugbay.config.yaml',
      'plugins: ./p\n---\nwatch: true\n',
      'plugbay.config.yaml:2:1 cannot be read: a second YAML document begins there: keep one',
    ],
    ['plugbay.config.ts', "const a: number = 1\n\nthrow new Error('boom')", 'plugbay.config.ts:3'],
    ['plugbay.config.mjs', 'export const a = 1', 'no default export'],
  ])('%s that cannot be read is named with its line', async (name, text, expected) => {
    const root = tree({ [name]: text })
    const error = await thrown(() => loadConfigFile(root))
    expect(error.code).toBe('OPTIONS_INVALID')
    expect(error.message).toContain(join(root, name))
    expect(error.message).toContain(expected)
    // No file that it is read by for a moment.
    expect(error.message).not.toContain(`.${name}`)
    expect(readdirSync(root)).toEqual([name])
  })

  test('that breaks the schema is named with the field', async () => {
    const root = tree({ 'plugbay.config.yaml': 'plugin: ./p\n' })
    const error = await thrown(() => loadConfigFile(root))
    expect(error.message).toContain(
      `${join(root, 'plugbay.config.yaml')} is not valid: plugin: is not a known field. Did you mean 'plugins'?`,
    )
  })

  test('that is not there, or of no known kind, is said so', async () => {
    const root = tree({ 'plugbay.toml': '' })
    expect((await thrown(() => loadConfigFile(join(root, 'gone.json')))).code).toBe('OPTIONS_INVALID')
    expect((await thrown(() => loadConfigFile(join(root, 'plugbay.toml')))).message).toContain('.yaml')
    expect(existsSync(join(root, 'plugbay.toml'))).toBe(true)
  })
})
