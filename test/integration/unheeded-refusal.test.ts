/** What a plugin announces in its start without waiting for it, and is refused: the start fails, and nothing else does. */
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const FIRST = pluginCode({ start: "await ctx.services.provide('taken', { x() {} })" })
const LATER =
  "await ctx.services.provide('later', {\n  again: () => { void ctx.services.provide('taken', { x() {} }).catch((error) => ctx.log.info(error.code)) },\n})"

const REFUSED: [what: string, start: string, code: string][] = [
  ['a service that is there', "ctx.services.provide('taken', { x() {} })", 'SERVICE_DUPLICATE'],
  [
    'a service that is there, while the start goes on',
    "ctx.services.provide('taken', { x() {} })\nawait ctx.services.use('taken')",
    'SERVICE_DUPLICATE',
  ],
  ['a service whose name is none', "ctx.services.provide('no name', { x() {} })", 'SERVICE_NAME_INVALID'],
  ['a watch without a listener', "ctx.services.watch('taken')", 'SERVICE_OPTIONS'],
]

describe.each(['inline', 'thread'] as const)('in isolation %s', (isolation) => {
  it.each(REFUSED)('%s, refused and not awaited, fails the start', async (_what, start, code) => {
    const { kernel, faults } = await startedWith(
      {
        first: FIRST,
        second: { code: pluginCode({ start }), manifest: { dependencies: { first: '*' }, restart: { policy: 'temporary' } } },
      },
      { defaults: { isolation } },
    )
    await eventually(() => expect(stateOf(kernel, 'second')).toBe('failed'))
    expect(faults.map(({ error }) => error)).toEqual([
      expect.objectContaining({ code: 'PLUGIN_START', cause: expect.objectContaining({ code }) }),
    ])
    expect(stateOf(kernel, 'first')).toBe('running')
  })

  it('a refusal that is heeded fails nothing, in the start and after it', async () => {
    const start = `
      await ctx.services.provide('taken', { x() {} }).catch((error) => ctx.log.info(error.code))
      ctx.services.provide('taken', { x() {} }).catch((error) => ctx.log.info(error.code))
      ${LATER}`
    const { kernel, faults, lines } = await startedWith(
      { first: FIRST, second: { code: pluginCode({ start }), manifest: { dependencies: { first: '*' } } } },
      { defaults: { isolation } },
    )
    expect(stateOf(kernel, 'second')).toBe('running')
    await (await kernel.services.use('later')).again?.()
    await eventually(() => expect(lines.filter(({ message }) => message === 'SERVICE_DUPLICATE')).toHaveLength(3))
    expect(faults).toEqual([])
  })
})
