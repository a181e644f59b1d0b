/**
 * What is not there, or not whole, while a generation is made of it, and is again what was saved when that has failed: it is tried once
 * more.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, pluginCode, type Running, startedWith } from '../support/plugin-folder.js'
import { save } from '../support/save.js'

const version = (n: number, before = ''): string =>
  pluginCode({ start: `${before}\nawait ctx.services.provide('p', { version: () => ${n} })` })
const LIB = 'export const whole = true'
/** Loads more of itself as it starts, between two turns of the application's. */
const LATE = `
  const turns = await ctx.services.use('turns')
  await turns.begins()
  const { whole } = await import('./lib.js').catch((error) => error)
  await turns.ends()
  if (!whole) throw new Error('lib.js is not whole')`

interface Turns {
  begins(): void
  ends(): void
}

const cases: [string, (running: Running, aside: string) => Turns][] = [
  [
    'a folder that is moved out and in',
    ({ folder }, aside) => ({
      begins: () => renameSync(join(folder, 'p'), join(aside, 'p')),
      ends: () => renameSync(join(aside, 'p'), join(folder, 'p')),
    }),
  ],
  [
    'a file that is written in place with what it held',
    ({ folder }) => ({
      begins: () => writeFileSync(join(folder, 'p/lib.js'), ''),
      ends: () => writeFileSync(join(folder, 'p/lib.js'), LIB),
    }),
  ],
  [
    'a file that is written anew beside a backup',
    ({ folder }) => ({
      begins: () => renameSync(join(folder, 'p/lib.js'), join(folder, 'p/lib.js~')),
      ends: () => writeFileSync(join(folder, 'p/lib.js'), LIB),
    }),
  ],
]

it.each(cases)('%s', async (_what, turnsOf) => {
  const running = await startedWith({ p: version(1) }, { watch: true })
  const { kernel, faults } = running
  const { begins, ends } = turnsOf(running, emptyFolder())
  let tries = 0
  await kernel.services.provide('turns', {
    begins: () => void (++tries === 1 && begins()),
    ends: () => void (tries === 1 && ends()),
  })
  save(running, { 'p/lib.js': LIB, 'p/index.js': version(2, LATE) })
  const p = await kernel.services.use('p')
  await eventually(async () => expect(await p['version']?.()).toBe(2))
  expect(faults).toEqual([])
  expect(running.lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
})

it('a plugin that writes its own file as it loads, and fails, is told of in the end', async () => {
  const running = await startedWith({ p: { code: version(1), manifest: { isolation: 'inline' } } }, { watch: true })
  const { kernel, faults } = running
  const writes = `
    const { writeFileSync } = await import('node:fs')
    writeFileSync(new URL('lib.js', import.meta.url), ${JSON.stringify(LIB)})
    throw new Error('no luck')`
  save(running, { 'p/lib.js': LIB, 'p/index.js': `import './lib.js'\n${version(2, writes)}` })
  await eventually(() => expect(faults).toMatchObject([{ name: 'p', error: { code: 'PLUGIN_START' } }]))
  expect(await (await kernel.services.use('p'))['version']?.()).toBe(1)
})
