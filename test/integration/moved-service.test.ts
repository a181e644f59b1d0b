/** Services that change hands while the files of plugins are watched. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, type Running, startedWith } from '../support/plugin-folder.js'

/** A plugin that provides these services. */
const provides = (...names: string[]): string =>
  `export default { async start(ctx) { ${names.map((name) => `await ctx.services.provide('${name}', { x() {} })`).join(';')} } }`

/** Puts the module there whole: it is seen once. */
const save = ({ folder }: Running, name: string, code: string): void => {
  writeFileSync(join(folder, '.next.js'), code)
  renameSync(join(folder, '.next.js'), join(folder, name, 'index.js'))
}

const providers = ({ kernel }: Running): Record<string, string> =>
  Object.fromEntries(kernel.services.list().map(({ name, provider }) => [name, provider]))

const refusals = ({ lines }: Running): string[] =>
  lines.filter(({ level, message }) => level === 'warn' && message.includes('was not taken over')).map(({ message }) => message)

it('a service that moves may be saved where it arrives before it is saved where it was', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb', 'moved') }, { watch: true })
  save(running, 'a', provides('sa', 'moved'))
  await eventually(() => expect(refusals(running)[0]).toContain("tried again when 'b' no longer provides 'moved' 1.0.0"))
  save(running, 'b', provides('sb'))
  await eventually(() => expect(providers(running)).toEqual({ sa: 'a', sb: 'b', moved: 'a' }))
  await eventually(() => expect(infoOf(running.kernel, 'a')).toMatchObject({ state: 'running', generation: 3 }))
  expect(refusals(running)).toHaveLength(1)
})

it.each(['unload', 'disable'] as const)('a refused change is taken over when who stood in its way leaves (%s)', async (act) => {
  const running = await startedWith({ a: provides('sa'), b: provides('moved') }, { watch: true })
  save(running, 'a', provides('sa', 'moved'))
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  await running.kernel[act]('b')
  await eventually(() => expect(providers(running)).toEqual({ sa: 'a', moved: 'a' }))
})

it('a refused change that is taken back is not tried again', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('moved') }, { watch: true })
  save(running, 'a', provides('sa', 'moved'))
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  save(running, 'a', provides('sa'))
  await eventually(() => expect(infoOf(running.kernel, 'a').generation).toBe(3))
  await running.kernel.unload('b')
  save(running, 'a', provides('sa', 'more'))
  await eventually(() => expect(providers(running)).toEqual({ sa: 'a', more: 'a' }))
  expect(infoOf(running.kernel, 'a').generation).toBe(4)
})
