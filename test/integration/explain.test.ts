/** What `kernel.explain()` says of plugins that are on their way. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { kernelWith, pluginCode, stateOf } from '../support/plugin-folder.js'
import { thrown } from '../support/thrown.js'

const limits = { loadTimeout: 60_000, startTimeout: 50_000 }
const never = 'await new Promise(() => {})'

it('a plugin that waits is told with what it waits for', async () => {
  const { kernel } = await kernelWith(
    {
      first: { code: pluginCode({ start: never }), manifest: { limits } },
      after: { code: pluginCode({ start: '' }), manifest: { dependencies: { first: '*', other: '*' } } },
      other: pluginCode({ start: '' }),
    },
    { maxConcurrency: 1 },
  )
  const start = thrown(() => kernel.start())
  await eventually(() => expect(stateOf(kernel, 'first')).toBe('starting'))
  const because = (name: string): string => kernel.explain(name).because
  expect(because('first')).toBe('It is in its start, which may take 50000 ms (limits.startTimeout).')
  expect(because('after')).toBe("It waits for 'first', which is starting, and for 'other', which is discovered.")
  expect(because('other')).toBe('It waits for its turn: 1 plugin is starting before it (maxConcurrency).')
  await kernel.stop()
  await start
  expect(because('after')).toBe('It is discovered: the kernel was stopped.')
})

it('a plugin whose module never ends is told to be in its load', async () => {
  const { kernel } = await kernelWith({ p: { code: `${never}\n${pluginCode({ start: '' })}`, manifest: { limits } } })
  const start = thrown(() => kernel.start())
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('initializing'))
  expect(kernel.explain('p').because).toBe('It is in its load, which may take 60000 ms (limits.loadTimeout).')
  await kernel.stop()
  await start
})
