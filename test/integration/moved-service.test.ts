/** Services that change hands while the files of plugins are watched. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, type Running, startedWith, writePlugin } from '../support/plugin-folder.js'

/** A plugin that provides these services. */
const provides = (...names: string[]): string =>
  `export default { async start(ctx) { ${names.map((name) => `await ctx.services.provide('${name}', {})`).join(';')} } }`

const providers = ({ kernel }: Running): Record<string, string> =>
  Object.fromEntries(kernel.services.list().map(({ name, provider }) => [name, provider]))

const refusals = ({ lines }: Running): string[] =>
  lines.filter(({ level, message }) => level === 'warn' && message.includes('was not taken over')).map(({ message }) => message)

it('a service that moves may be saved where it arrives before it is saved where it was', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb', 'moved') }, { watch: true })
  writePlugin(running.folder, 'a', { code: provides('sa', 'moved') })
  await eventually(() => expect(refusals(running)[0]).toContain("tried again when 'b' no longer provides 'moved' 1.0.0"))
  writePlugin(running.folder, 'b', { code: provides('sb') })
  await eventually(() => expect(providers(running)).toEqual({ sa: 'a', sb: 'b', moved: 'a' }))
  await eventually(() => expect(infoOf(running.kernel, 'a')).toMatchObject({ state: 'running', generation: 3 }))
  expect(refusals(running)).toHaveLength(1)
})

it.each(['unload', 'disable'] as const)('a refused change is taken over when who stood in its way leaves (%s)', async (act) => {
  const running = await startedWith({ a: provides('sa'), b: provides('moved') }, { watch: true })
  writePlugin(running.folder, 'a', { code: provides('sa', 'moved') })
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  await running.kernel[act]('b')
  await eventually(() => expect(providers(running)).toEqual({ sa: 'a', moved: 'a' }))
})

it('a refused change that is taken back is not tried again', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('moved') }, { watch: true })
  writePlugin(running.folder, 'a', { code: provides('sa', 'moved') })
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  writePlugin(running.folder, 'a', { code: provides('sa') })
  await eventually(() => expect(infoOf(running.kernel, 'a').generation).toBe(3))
  await running.kernel.unload('b')
  writePlugin(running.folder, 'a', { code: provides('sa', 'more') })
  await eventually(() => expect(providers(running)).toEqual({ sa: 'a', more: 'a' }))
  expect(infoOf(running.kernel, 'a').generation).toBe(4)
})

it('where two plugins take from each other, the log says what to do, and that helps', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, { watch: true })
  const { kernel, folder } = running
  writePlugin(folder, 'a', { code: provides('sb') })
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  writePlugin(folder, 'b', { code: provides('sa') })
  await eventually(() => expect(refusals(running)).toHaveLength(2))
  expect(refusals(running)[1]).toContain("'sa' of 'a', 'sb' of 'b'")
  expect(refusals(running)[1]).toContain("save 'b' without them first, or disable it and enable it again")
  expect(providers(running)).toEqual({ sa: 'a', sb: 'b' })
  await kernel.disable('b')
  await kernel.enable('b').catch(() => {})
  await eventually(() => expect(providers(running)).toEqual({ sa: 'b', sb: 'a' }))
})
