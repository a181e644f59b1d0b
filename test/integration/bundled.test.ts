/** An application that was bundled with plugbay in it. */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { expect, it } from 'vitest'
import { folderWith, node, pluginsWith, root } from '../support/command.js'

it('is told to keep plugbay external, once it wants a thread or a process', { timeout: 60_000 }, async () => {
  const folder = folderWith({
    ...pluginsWith({ t: {}, p: { isolation: 'process' }, i: { isolation: 'inline', tasks: { work: 'work.js' } } }),
    'plugins/t/index.js': 'export default { start() {} }',
    'plugins/p/index.js': 'export default { start() {} }',
    'plugins/i/index.js': "export default { start: (ctx) => ctx.tasks.run('work') }",
    'plugins/i/work.js': 'export default () => {}',
    'package.json': { type: 'module' },
    'app.js': `
      import { createKernel } from ${JSON.stringify(join(root, 'dist/index.js'))}
      const kernel = await createKernel({ plugins: 'plugins', logLevel: 'silent' })
      const { plugins } = await kernel.start()
      console.log(JSON.stringify(plugins.map(({ name, error }) => [name, error.message])))
      await kernel.stop()`,
  })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const bundle = await rolldown({ input: join(folder, 'app.js'), platform: 'node', external: /^[^./]/, logLevel: 'silent' })
  await bundle.write({ dir: join(folder, 'out'), format: 'esm' })
  const { stdout, stderr } = await node(['out/app.js'], folder)
  expect(stderr).toBe('')
  const told = JSON.parse(stdout) as [string, string][]
  expect(told.map(([name]) => name).sort()).toEqual(['i', 'p', 't'])
  for (const [, message] of told) expect(message).toMatch(/plugbay's own file .*\.cjs is not there\..* keep plugbay external/)
})
