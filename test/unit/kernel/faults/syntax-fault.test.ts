/** A plugin that does not parse: where. */
import { symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createTestKernel } from '#src/testing.js'
import { folderWith, pluginsWith } from '../../../support/command.js'
import { SLOW_TO_PARSE } from '../../../support/offences.js'
import { tree } from '../../../support/tree.js'

const boot = async (files: Record<string, string>, isolation: 'inline' | 'thread' = 'inline') => {
  const folder = folderWith({ ...pluginsWith({ broken: {} }), ...files })
  const kernel = await createTestKernel({ plugins: join(folder, 'plugins'), isolation, mayFail: true })
  onTestFinished(() => kernel.stop())
  return kernel.report.plugins[0]?.error
}

test.each(['inline', 'thread'] as const)('a syntax error says its file, line and column, and shows the line (%s)', async (isolation) => {
  const error = await boot({ 'plugins/broken/index.js': 'export default {\n  start() { const 1 = 2 }\n}\n' }, isolation)
  expect(error?.code).toBe('PLUGIN_LOAD')
  expect(error?.message).toMatch(/^Plugin 'broken' could not be loaded: index\.js:2:19: /)
  expect(error?.message).toContain(`  1 | export default {\n  2 |   start() { const 1 = 2 }\n    |${' '.repeat(19)}^`)
})

test('its cause points there too, instead of into the engine', async () => {
  const folder = folderWith({ ...pluginsWith({ sound: {} }), 'plugins/sound/index.js': 'export default { start() {} }' })
  const kernel = await createTestKernel({ plugins: join(folder, 'plugins') })
  onTestFinished(() => kernel.stop())
  const file = join(folder, 'plugins/sound/index.js')
  writeFileSync(file, 'export default {\n  start( {}\n}')
  const error = await kernel.kernel.reload('sound').catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'PLUGIN_LOAD', details: { file, line: 3, column: 1 }, cause: { name: 'SyntaxError' } })
  expect((error as Error & { cause: Error }).cause.stack).toMatch(new RegExp(`at ${file}:3:1$`))
})

test('the file is the one at fault, not the one that imports it', async () => {
  const error = await boot({
    'plugins/broken/index.js': "import { value } from './lib/value.js'\nexport default { start() { return value } }",
    'plugins/broken/lib/value.js': 'export const value = )',
  })
  expect(error?.message).toContain("Plugin 'broken' could not be loaded: lib/value.js:1:22: ")
})

const DECORATED =
  'Decorators run in no Node, and stay when types are taken out: call what it names as a function, or have the plugin compiled'

/** What parses, and what the engine refuses all the same: a module, where it is wrong, and what is said. */
const ENGINE: [code: string, place: string, reason: string][] = [
  ['const one = 1\nconst one = 2', '2:7', "Identifier 'one' has already been declared"],
  ['const one: number = 1\n  let one: string', '2:7', "Identifier 'one' has already been declared"],
  ["import { join } from 'node:path'\nimport { join } from 'node:path'", '2:10', "Identifier 'join' has already been declared"],
  ['@wraps class Wrapped {}', '1:1', `Invalid or unexpected token. ${DECORATED}`],
  ['export { missing }', '1:10', "Export 'missing' is not defined in module"],
  ['export const one = 1\nexport { one }', '2:10', "Duplicate export of 'one'"],
  ['class Box {\n  of() { return this.#held }\n}', '2:21', "Private field '#held' must be declared in an enclosing class"],
  ['const group = /(/', '1:15', 'Invalid regular expression: /(/: Unterminated group'],
  ['function base() { super() }', '1:19', "'super' keyword unexpected here"],
  ['let one\n\n\tdelete one', '3:9', 'Delete of an unqualified identifier in strict mode'],
]

test.each(ENGINE)('what only the engine minds has its place too: %j', async (code, place, reason) => {
  const main = code.includes(': number') ? 'index.ts' : 'index.js'
  const error = await boot({
    'plugins/broken/plugin.json': JSON.stringify({ name: 'broken', version: '1.0.0', main }),
    [`plugins/broken/${main}`]: `${code}\nexport default { start() {} }`,
  })
  expect(error?.message).toMatch(`Plugin 'broken' could not be loaded: ${main}:${place}: ${reason}.\n  `)
  expect(error?.message).toMatch(/\^$/)
})

test.each(['inline', 'thread'] as const)('so it has in a file that is imported, and the stack leads there (%s)', async (isolation) => {
  const files = {
    'plugins/broken/index.js': "import { one } from './lib/deep.js'\nexport default { start() { return one } }",
    'plugins/broken/lib/deep.js': "export * from './deeper.js'",
    'plugins/broken/lib/deeper.js': 'export const one = 1\n\nexport const one = 2\n',
  }
  const error = await boot(files, isolation)
  expect(error?.message).toMatch("could not be loaded: lib/deeper.js:3:14: Identifier 'one' has already been declared.\n")
})

/** What is imported, of a module that exports this, and what is said of it. */
const IMPORTS: [statement: string, exported: string, place: string, mend: string][] = [
  ["import { valeu } from './value.js'", 'export const value = 1', '1:10', " Did you mean 'value'?"],
  // Any text may be a name: it is no pattern.
  ["import { '(a+)+b' as x } from './value.js'", '// export type aab', '1:11', ' It exports nothing.'],
  ["import { one,\n  other as valeu } from './value.js'", 'export const one = 1, two = 2', '2:3', ' It exports one, two.'],
  ["export { valeu } from './value.js'", 'export const value = 1', '1:10', " Did you mean 'value'?"],
  ["import value from './value.js'", 'export const value = 1', '1:8', ' It exports value.'],
  ["import { value } from './value.js'", '', '1:10', ' It exports nothing.'],
  ["import { Value } from './value.ts'", 'export interface Value { one: 1 }', '1:10', ' It is a type there: write import { type Value }.'],
  ["import { jion } from 'node:path'", '', '1:10', " Did you mean 'join'?"],
  ["import { definePlugins } from 'plugbay/plugin'", '', '1:10', " Did you mean 'definePlugin'?"],
]

test.each(IMPORTS)(
  'an import of what is not exported says who imports it, and what was meant: %j',
  async (statement, exported, place, mend) => {
    const error = await boot({
      'plugins/broken/index.js': `import './beside.js'\nexport default { start() {} }`,
      'plugins/broken/beside.js': `${statement}\nexport const used = true`,
      [`plugins/broken/value.${statement.includes('.ts') ? 'ts' : 'js'}`]: exported,
    })
    expect(error?.message).toContain(`Plugin 'broken' could not be loaded: beside.js:${place}: The requested module `)
    expect(error?.message).toContain(`.${mend}\n`)
  },
)

test('an import of JSON without the attribute says where it is, and how it is written', async () => {
  const error = await boot({
    'plugins/broken/index.js': "import 'node:path'\nimport words from './words.json'\nexport default { start() { return words } }",
    'plugins/broken/words.json': '{}',
  })
  expect(error?.message).toMatch("broken' could not be loaded: index.js:2:1: './words.json' is imported without saying that it is JSON.")
  expect(error?.message).toMatch(" Write import words from './words.json' with { type: 'json' }.\n")
})

test('imported JSON that is broken is told in the words of JSON', async () => {
  const error = await boot({
    'plugins/broken/index.js': "import words from './words.json' with { type: 'json' }\nexport default { start() { return words } }",
    'plugins/broken/words.json': '{\n  "one": 1,\n}',
  })
  expect(error?.message).toMatch("Plugin 'broken' could not be loaded: words.json:3:1: not valid JSON: a comma before '}'.\n")
})

test('an error about syntax that the code itself came by keeps its words and its stack', async () => {
  const error = await boot({ 'plugins/broken/index.js': "JSON.parse('{')\nexport default { start() {} }" })
  expect(error?.message).toMatch(/^Plugin 'broken' could not be loaded: [^\n]*JSON[^\n]*$/)
})

test('what takes too long to be looked for is not told, and holds nobody up', async () => {
  let turns = 0
  const beat = setInterval(() => turns++, 10)
  onTestFinished(() => clearInterval(beat))
  const error = await boot({
    'plugins/broken/index.js': "if (0) import('./slow.js')\nthrow new SyntaxError('own words')",
    'plugins/broken/slow.js': SLOW_TO_PARSE,
  })
  expect(error?.message).toBe("Plugin 'broken' could not be loaded: own words")
  expect(turns).toBeGreaterThan(10)
})

/** What a plugin names outside of its folder, and what would be told of it. */
const OUTSIDE: [name: string, says: string][] = [
  ['settings.json', '2:3: not valid JSON: JSON has no comments'],
  ['link.json', '2:3: not valid JSON: JSON has no comments'],
  ['broken.js', 'broken.js:1:'],
  ['value.js', "Did you mean 'secret'?"],
  ['missing.js', 'Modules there: broken.js, value.js.'],
]

/** A plugin that fails as if the engine had found something wrong there. */
const failingAt = (name: string, path: string): string => {
  if (name === 'missing.js') return `throw new Error("Cannot find module '${path}' imported from somewhere")`
  if (name === 'value.js') return `throw new SyntaxError("The requested module '${path}' does not provide an export named 'sekret'")`
  return `throw new SyntaxError('own words')`
}

test.each(OUTSIDE)(
  'of a file that a plugin names is told what it holds where the plugin may read it, and not elsewhere: %s',
  async (name, says) => {
    const outside = tree({ 'settings.json': '{\n  // secret\n}', 'broken.js': 'secret (', 'value.js': 'export const secret = 1' })
    const message = async (isolation: 'inline' | 'thread', permissions: object[]) => {
      const manifest = JSON.stringify({ name: 'broken', version: '1.0.0', permissions })
      const folder = folderWith({ ...pluginsWith({ broken: {} }), 'plugins/broken/plugin.json': manifest })
      const root = join(folder, 'plugins/broken')
      symlinkSync(join(outside, 'settings.json'), join(root, 'link.json'))
      const path = name === 'link.json' ? './link.json' : relative(root, join(outside, name))
      const named = name === 'missing.js' ? join(outside, name) : path
      writeFileSync(join(root, 'index.js'), `if (0) import('./beside.js')\n${failingAt(name, named)}`)
      writeFileSync(join(root, 'beside.js'), `import { sekret } from '${path}'`)
      const kernel = await createTestKernel({ plugins: join(folder, 'plugins'), isolation, mayFail: true })
      onTestFinished(() => kernel.stop())
      return kernel.report.plugins[0]?.error?.message ?? ''
    }
    expect(await message('thread', [])).not.toMatch(/secret|comments|Modules there/)
    expect(await message('thread', [{ resource: `fs:${outside}`, actions: ['read'] }])).toContain(says)
    expect(await message('inline', [])).toContain(says)
  },
)
