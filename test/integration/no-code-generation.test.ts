/** An application that forbids code made of text has its plugins all the same. */
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { folderWith, node, root } from '../support/command.js'

it('calls and events cross under --disallow-code-generation-from-strings', { timeout: 60_000 }, async () => {
  const cwd = folderWith({
    'plugins/echo.js': `export default { async start(ctx) {
      await ctx.services.provide('echo', { echo: (value) => value })
      ctx.bus.subscribe('asked', ({ data }) => ctx.bus.publish('answered', data))
    } }`,
    'app.mjs': `
      import { createKernel } from ${JSON.stringify(pathToFileURL(`${root}/dist/index.js`).href)}
      const kernel = await createKernel({ base: import.meta.dirname, plugins: 'plugins', logLevel: 'warn' })
      await kernel.start()
      const seen = []
      kernel.bus.subscribe('answered', ({ data }) => void seen.push(data))
      const { echo } = await kernel.services.use('echo')
      // More of one shape than are built without code of their own.
      for (let i = 0; i < 20; i++) seen.push(await echo({ i, list: [i, { i }] }))
      for (let i = 0; i < 20; i++) await kernel.bus.publish('asked', { i, list: [i, { i }] })
      await kernel.stop()
      console.log(seen.length, JSON.stringify(seen.at(-1)))`,
  })
  const { code, stdout, stderr } = await node(['--disallow-code-generation-from-strings', 'app.mjs'], cwd)
  expect(stderr).toBe('')
  expect(stdout.trim()).toBe('40 {"i":19,"list":[19,{"i":19}]}')
  expect(code).toBe(0)
})
