/** The embedder's logger fails at lines of plugins and of the kernel: nothing that runs is disturbed, and nobody is blamed. */
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { collect, pluginCode, startedWith, stateOf } from '../support/plugin-folder.js'

const onStandardError = (): string[] => {
  const written: string[] = []
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(stripVTControlCharacters(String(text))) > 0)
  onTestFinished(() => spy.mockRestore())
  return written
}

describe.each(['thread', 'inline'] as const)('a logger that throws (%s)', (isolation) => {
  it('at what a plugin logs does not end that plugin', async () => {
    const written = onStandardError()
    const taken: string[] = []
    const write = (fields: unknown, message?: string): void => void taken.push(`${JSON.stringify(fields)} ${message}`)
    const { kernel, faults } = await startedWith(
      {
        shop: pluginCode({
          start: `
          const circle = {}
          circle.self = circle
          ctx.log.info('paid', { amount: 10n })
          ctx.log.info('round', circle)
          ctx.log.info('done')
          await ctx.bus.publish('out', 'still here')`,
        }),
      },
      { defaults: { isolation }, logger: { debug: write, info: write, warn: write, error: write } },
    )
    await eventually(() => expect(taken).toEqual([expect.stringContaining('done')]))
    expect(written.filter((line) => line.includes('shop#1'))).toEqual([
      expect.stringMatching(/INFO {2}shop#1 paid amount=10n\n/),
      expect.stringMatching(/INFO {2}shop#1 round self=.*Circular/),
    ])
    expect(faults).toEqual([])
    expect(stateOf(kernel, 'shop')).toBe('running')
  })

  it('at every line, also those of the kernel itself, harms neither the application nor the plugins', async () => {
    const written = onStandardError()
    const full = (): never => {
      throw new Error('disk full')
    }
    const { kernel } = await startedWith(
      {
        shop: pluginCode({
          start: "ctx.bus.subscribe('in', ({ data }) => { ctx.log.error('x'); ctx.bus.publish('out', data); throw new Error('no') })",
        }),
      },
      { defaults: { isolation }, logger: { debug: full, info: full, warn: full, error: full } },
    )
    const out = collect(kernel, 'out')
    kernel.on('plugin:replaced', full)
    await kernel.bus.publish('in', 1)
    await kernel.reload('shop')
    await kernel.bus.publish('in', 2)
    await eventually(() => expect(out.map(({ data }) => data)).toEqual([1, 2]))
    await eventually(() => expect(written.filter((line) => line.includes("A handler of plugin 'shop'"))).toHaveLength(2))
    expect(written.filter((line) => line.includes('The logger that the kernel was given failed'))).toHaveLength(1)
    expect(written.join('')).toMatch(/Replaced generation 1 by 2/)
    expect(stateOf(kernel, 'shop')).toBe('running')
  })
})
