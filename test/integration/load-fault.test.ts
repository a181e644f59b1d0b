/** A plugin that does not load: what to do about it. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, kernelWith, startedWith, writePlugin } from '../support/plugin-folder.js'

const faulty = (imports: string) => ({ code: `${imports}\nexport default { start() {} }`, main: 'index.mjs' })
const typed = (code: string) => ({ code: `${code}\nexport default { start() {} }`, main: 'index.mts' })

const FAULTS: [what: string, files: { code: string; main: string }, says: string][] = [
  ['a file that is not there', faulty(`import './helpr.mjs'`), "Did you mean 'helper.mjs'?"],
  ['a file without its ending', faulty(`import './helper'`), "Did you mean 'helper.mjs'?"],
  ['a folder that is not there', faulty(`import './lbi/helper.mjs'`), "Did you mean 'lib'?"],
  ['a file that is like none of those there', faulty(`import './quite-another.mjs'`), 'Modules there: helper.mjs, index.mjs.'],
  [
    'what CommonJS has',
    faulty(`module.exports = {}`),
    'is not defined in ES module scope. A plugin is an ES module: it has `export default`',
  ],
  [
    'what CommonJS has, in a .js',
    { code: `module.exports = {}\nexport {}`, main: 'index.js' },
    'ES module scope. A plugin is an ES module',
  ],
  ['a package that is not installed', faulty(`import '@nobody/has-this/part.js'`), 'npm install @nobody/has-this.'],
  ['another entry of plugbay', faulty(`import 'plugbay/plugn'`), "'plugbay/plugin'."],
  ['an export misspelt', faulty(`import { definePlugn } from 'plugbay/plugin'`), "Did you mean 'definePlugin'?"],
  ['an export that is a type', faulty(`import { PluginContext } from 'plugbay/plugin'`), 'a type takes `import type`.'],
  ['an enum', typed('enum Color { Red }\nexport const red = Color.Red'), 'Use a plain object `as const`'],
  ['a parameter property', typed('export class A { constructor(private x: number) {} }'), 'Declare the field in the class'],
  [
    'a decorator',
    typed('const mark = (value: unknown) => value\n@mark class A {}\nexport const a = new A()'),
    'index.mts:2:1: Invalid or unexpected token. Decorators run in no Node',
  ],
  [
    'what a package does not export',
    faulty(`import '@any/package/inner.js'`),
    'Import what "exports" names there: a package gives nothing else of itself.',
  ],
  ['a namespace', typed('namespace A { export const x = 1 }\nexport const y = A.x'), 'Use a module of its own'],
]

it.each([
  ['null', { code: 'export default null', main: 'index.mjs' }, 'exports null by default, not an object'],
  ['an exports.default of CommonJS', { code: 'exports.default = { start() {} }', main: 'x.cjs' }, 'x.cjs is a CommonJS module'],
])('a default export that is no plugin is told as what it is: %s', async (_, files, says) => {
  const { kernel } = await startedWith({ p: files, ok: { code: 'module.exports = { start() {} }', main: 'x.cjs' } })
  expect(kernel.explain('p')).toMatchObject({ code: 'PLUGIN_SHAPE', because: expect.stringContaining(says) })
  expect(kernel.explain('ok').running).toBe(true)
})

describe.each(['thread', 'process'])('a plugin that does not load (%s)', (isolation) => {
  it('is told what to do about it', async () => {
    const { kernel, folder } = await kernelWith({}, { defaults: { isolation: isolation as 'thread' } })
    for (const [index, [, files]] of FAULTS.entries()) {
      const path = writePlugin(folder, `p${index}`, files)
      writeFileSync(join(path, 'helper.mjs'), '')
      writePlugin(path, 'lib', { code: '' })
      mkdirSync(join(path, 'node_modules/@any/package'), { recursive: true })
      writeFileSync(join(path, 'node_modules/@any/package/package.json'), '{ "exports": { ".": "./index.js" } }')
    }
    const { plugins } = await kernel.start()
    for (const [index, [what, , says]] of FAULTS.entries()) {
      const error = plugins.find(({ name }) => name === `p${index}`)?.error
      expect(error, what).toMatchObject({ code: 'PLUGIN_LOAD', message: expect.stringContaining(says) })
      // What Node advises, and no plugin can have.
      expect(error?.message, what).not.toContain('.cjs')
    }
  })
})

it.each(['thread', 'process'])('an import that leads to nothing is one fault, and no denial (%s)', async (isolation) => {
  const imports = {
    static: faulty(`import './none.mjs'`),
    later: { code: `export default { start: () => import('./none.mjs') }`, main: 'index.mjs' },
  }
  const { kernel, faults } = await startedWith(imports, { defaults: { isolation: isolation as 'thread' } })
  const codes = { static: 'PLUGIN_LOAD', later: 'PLUGIN_START' }
  for (const [name, code] of Object.entries(codes))
    expect(kernel.explain(name)).toMatchObject({ code, because: expect.stringContaining('none.mjs') as string })
  expect(Object.fromEntries(faults.map(({ name, error }) => [name, error.code]))).toEqual(codes)
  expect(faults).toHaveLength(2)
})

it('what is thrown and says nothing is told as that, and with no stack of the kernel', async () => {
  const { kernel, faults } = await kernelWith({
    n: 'export default { start() { throw null } }',
    u: 'export default { start: () => Promise.reject() }',
  })
  await kernel.start()
  for (const [plugin, text] of Object.entries({ n: 'null', u: 'undefined' })) {
    const error = faults.find(({ name }) => name === plugin)?.error as Error
    expect(error.message).toContain(`failed in start: ${text} was thrown, which says neither what went wrong nor where: throw an Error`)
    expect((error.cause as Error).stack).not.toContain('    at ')
  }
})

it('a path where nothing is, in load, is told with what is there', async () => {
  const { kernel } = await startedWith({})
  const folder = emptyFolder()
  const messageFor = async (name: string): Promise<string> => {
    const error: unknown = await kernel.load(join(folder, name)).catch((reason: unknown) => reason)
    return (error as Error).message.replaceAll(folder, '…')
  }
  expect(await messageFor('nope.js')).toBe('There is no module at …/nope.js. There are no modules there: correct the path.')
  writeFileSync(join(folder, 'a-clock.mjs'), 'export default { start() {} }')
  writePlugin(folder, 'weather', { code: '' })
  symlinkSync('nowhere', join(folder, 'broken'))
  for (const beside of ['data', 'plugins/inner', 'node_modules']) mkdirSync(join(folder, beside), { recursive: true })
  expect(await messageFor('nope.js')).toBe('There is no module at …/nope.js. Modules there: a-clock.mjs.')
  expect(await messageFor('something')).toBe('There is no plugin at …/something. Plugins there: a-clock.mjs, broken, weather.')
  expect(await messageFor('broken')).toBe("There is no plugin at …/broken. It is a link to 'nowhere', which is not there.")
})

it('a path of a module where none is, in load, is told with the nearest', async () => {
  const { kernel } = await startedWith({})
  const folder = emptyFolder()
  writeFileSync(join(folder, 'clock.mjs'), 'export default { start() {} }')
  const error = await kernel.load(join(folder, 'clok.mjs')).catch((reason: unknown) => reason)
  expect(error).toMatchObject({
    code: 'PLUGIN_LOAD',
    message: `There is no module at ${join(folder, 'clok.mjs')}. Did you mean 'clock.mjs'?`,
  })
  expect(error).not.toHaveProperty('cause')
})

it('a schema of a configuration with a type that there is not is one line', async () => {
  const config = { schema: { type: 'objet' } }
  const { kernel, folder } = await kernelWith({ p: { manifest: { config }, code: 'export default { start() {} }' } })
  const { plugins } = await kernel.start()
  expect(plugins[0]?.error?.message).toMatch(
    /^.*plugin\.json is not valid: config\.schema\.type: must be one of .*not 'objet'\. Did you mean 'object'\?$/,
  )
  expect(plugins[0]?.error?.message).toContain(folder)
})
