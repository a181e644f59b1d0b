/** A plugin that does not parse: where. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createTestKernel } from '#src/testing.js'
import { folderWith, pluginsWith } from '../../support/command.js'

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

test('an import that is not exported keeps the words of the engine', async () => {
  const error = await boot({
    'plugins/broken/index.js': "import { other } from './value.js'\nexport default { start() { return other } }",
    'plugins/broken/value.js': 'export const value = 1',
  })
  expect(error?.message).toMatch(/could not be loaded: .*does not provide an export named 'other'/)
})
