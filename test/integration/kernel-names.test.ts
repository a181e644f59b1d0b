import { createKernel } from 'plugbay'
import { expect, it } from 'vitest'
import { discover } from '#src/kernel/manifest/discovery.js'
import { emptyFolder, keptLog, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const code = pluginCode({ start: 'await ctx.bus.publish("out")' })

it.each(['plugbay', 'kernel', 'shop'])(
  "a plugin named '%s' is left out at the boot of a kernel 'shop': it would pass for the kernel",
  async (name) => {
    const folder = emptyFolder()
    const path = writePlugin(folder, name, { code })
    writePlugin(folder, 'honest', { code })
    const { logger, lines } = keptLog()
    const kernel = await createKernel({ name: 'shop', plugins: folder, logger, dataDir: emptyFolder() })
    const sources: string[] = []
    kernel.bus.subscribe('out', ({ source }) => void sources.push(source))
    await kernel.start()
    try {
      expect(kernel.plugins().map((plugin) => plugin.name)).toEqual(['honest'])
      expect(sources).toEqual(['honest'])
      expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
        {
          fields: { path, err: { code: 'PLUGIN_DUPLICATE', plugin: name } },
          message: expect.stringMatching(/the kernel's own name.*Rename it/),
        },
      ])
    } finally {
      await kernel.stop()
    }
  },
)

it("the kernel's own name is refused to a plugin that is loaded later, with the way out", async () => {
  const { kernel } = await startedWith({ p: code })
  await expect(kernel.load(writePlugin(emptyFolder(), 'plugbay', { code }))).rejects.toMatchObject({
    code: 'PLUGIN_DUPLICATE',
    message: expect.stringContaining('Rename it.'),
  })
  expect(kernel.plugins().map(({ name }) => name)).toEqual(['p'])
  expect(stateOf(kernel, 'p')).toBe('running')
})

it('a name that is the kernel’s by its options only may be had by renaming the kernel', () => {
  const folder = emptyFolder()
  writePlugin(folder, 'shop', { code })
  expect(discover(folder, folder, 'shop').faults[0]?.error.message).toContain('give the kernel another name (the option name)')
  expect(discover(folder, folder, 'store').found.map(({ name }) => name)).toEqual(['shop'])
})
