/** A kernel in a test runner that runs what it tests in a context of its own: the threads of its plugins are outside of that. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { folderWith, node, pluginsWith, root } from '../support/command.js'

test('plugins run with the pool vmThreads, inline and in threads', async () => {
  const folder = folderWith({
    ...pluginsWith({ greeter: {} }),
    'package.json': '{ "type": "module" }',
    'plugins/greeter/index.js': `import { definePlugin } from 'plugbay/plugin'
      export default definePlugin({ async start(ctx) { await ctx.services.provide('greeter', { greet: (name) => 'hello ' + name }) } })`,
    'greeter.test.js': `import { createTestKernel } from 'plugbay/testing'
      import { expect, test } from 'vitest'
      test.each(['inline', 'thread'])('greets (%s)', async (isolation) => {
        const kernel = await createTestKernel({ plugins: import.meta.dirname + '/plugins', isolation })
        const greeter = await kernel.services.use('greeter')
        expect(await greeter.greet('ada')).toBe('hello ada')
        await kernel.stop()
      }, 20_000)`,
  })
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules/plugbay'))
  symlinkSync(join(root, 'node_modules/vitest'), join(folder, 'node_modules/vitest'))
  const { code, stdout, stderr } = await node(
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder, '--pool=vmThreads'],
    folder,
    {
      VITEST: undefined,
      NODE_OPTIONS: undefined,
    },
  )
  expect(stdout, stderr).toContain('2 passed')
  expect(code).toBe(0)
}, 60_000)
