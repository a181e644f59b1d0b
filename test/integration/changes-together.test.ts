/** Changes of several plugins that only go together, as a checkout of another branch brings them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { codeOf } from '#src/wire-error.js'
import { eventually } from '../support/eventually.js'
import { infoOf, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { save } from '../support/save.js'

/** A plugin that provides these services, each as `name` or `name@version`; a call says who answers. */
const provides = (...services: string[]): string =>
  pluginCode({
    start: services
      .map((each) => each.split('@'))
      .map(([name, version = '1.0.0']) => `await ctx.services.provide('${name}', { who: () => ctx.name }, { version: '${version}' })`)
      .join('\n'),
  })

const providers = ({ kernel }: Running): Record<string, string> =>
  Object.fromEntries(kernel.services.list().map(({ name, version, provider }) => [`${name}@${version}`, provider]))

const generations = ({ kernel }: Running): Record<string, number> =>
  Object.fromEntries(kernel.plugins().map(({ name, generation }) => [name, generation]))

const refusals = ({ lines }: Running): string[] =>
  lines.filter(({ level, message }) => level === 'warn' && message.includes('was not taken over')).map(({ message }) => message)

const watch = { watch: true }

it('two plugins swap their services by one save, and whoever uses them goes on', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, watch)
  const [sa, sb] = await Promise.all([running.kernel.services.use('sa'), running.kernel.services.use('sb')])
  save(running, { 'a/index.js': provides('sb'), 'b/index.js': provides('sa') })
  await eventually(() => expect(providers(running)).toEqual({ 'sa@1.0.0': 'b', 'sb@1.0.0': 'a' }))
  await eventually(async () => expect([await sa['who']?.(), await sb['who']?.()]).toEqual(['b', 'a']))
  expect(generations(running)['b']).toBe(2)
})

it('two plugins swap their services by saves that are far apart: the first waits for the second', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, watch)
  save(running, { 'a/index.js': provides('sb') })
  await eventually(() =>
    expect(refusals(running)).toEqual([expect.stringContaining("'b' no longer provides 'sb' 1.0.0, or changes as well")]),
  )
  save(running, { 'b/index.js': provides('sa') })
  await eventually(() => expect(providers(running)).toEqual({ 'sa@1.0.0': 'b', 'sb@1.0.0': 'a' }))
})

it('what each of two that swap has come to is handed to its own next generation', async () => {
  const keeps = (own: string): string =>
    pluginCode(
      {
        start: `await ctx.services.provide('${own}', { add: () => ++count })`,
        snapshot: 'return count',
        restore: 'count = argument',
      },
      'let count = 0',
    )
  const running = await startedWith({ a: keeps('sa'), b: keeps('sb') }, watch)
  const [sa, sb] = await Promise.all([running.kernel.services.use('sa'), running.kernel.services.use('sb')])
  for (let i = 0; i < 3; i++) await sa['add']?.()
  await sb['add']?.()
  save(running, { 'a/index.js': keeps('sb'), 'b/index.js': keeps('sa') })
  await eventually(() => expect(running.replaced).toHaveLength(2))
  await expect(Promise.all([sa['add']?.(), sb['add']?.()])).resolves.toEqual([2, 4])
})

it('three plugins hand their services round, and versions of one service change hands', async () => {
  const running = await startedWith({ a: provides('s@1.0.0'), b: provides('s@2.0.0'), c: provides('s@3.0.0') }, watch)
  save(running, { 'a/index.js': provides('s@2.0.0'), 'b/index.js': provides('s@3.0.0'), 'c/index.js': provides('s@1.0.0') })
  await eventually(() => expect(providers(running)).toEqual({ 's@1.0.0': 'c', 's@2.0.0': 'a', 's@3.0.0': 'b' }))
})

it('where one of two that swap is broken both stay, and its mend lets both change', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, watch)
  save(running, { 'a/index.js': provides('sb'), 'b/index.js': 'export default {' })
  await eventually(() => expect(running.faults.map(({ name }) => name)).toEqual(expect.arrayContaining(['a', 'b'])))
  await eventually(() => expect(refusals(running).length).toBeGreaterThanOrEqual(2))
  expect(providers(running)).toEqual({ 'sa@1.0.0': 'a', 'sb@1.0.0': 'b' })
  expect(running.replaced).toEqual([])
  // Whoever came up for nothing is told to have gone.
  const last = new Map(running.states.map(({ name, generation, to }) => [`${name}#${generation}`, to]))
  expect([...last].flatMap(([generation, state]) => (state === 'running' ? generation : []))).toEqual(['a#1', 'b#1'])
  save(running, { 'b/index.js': provides('sa') })
  await eventually(() => expect(providers(running)).toEqual({ 'sa@1.0.0': 'b', 'sb@1.0.0': 'a' }))
})

it('one that dies while the other comes up keeps both from taking over', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, watch)
  const dies = `await ctx.services.provide('sb', { b() {} }); setTimeout(() => { throw new Error('too soon') })`
  const waits = `
    while (!(await ctx.fs.readdir('.')).some(({ name }) => name === 'go')) await new Promise((resolve) => setTimeout(resolve, 5))
    await ctx.services.provide('sa', { a() {} })`
  save(running, { 'a/index.js': pluginCode({ start: dies }), 'b/index.js': pluginCode({ start: waits }) })
  await eventually(() => expect(running.faults.map(({ error }) => error.message)).toContainEqual(expect.stringContaining('too soon')))
  writeFileSync(join(running.folder, '.data', 'b', 'go'), '')
  await eventually(() => expect(refusals(running)).toHaveLength(2))
  expect(providers(running)).toEqual({ 'sa@1.0.0': 'a', 'sb@1.0.0': 'b' })
  expect(generations(running)).toEqual({ a: 1, b: 1 })
})

it('where both of two that swap would provide the same, the log says so', async () => {
  const running = await startedWith({ a: provides('sa'), b: provides('sb') }, watch)
  save(running, { 'a/index.js': provides('sb') })
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  save(running, { 'b/index.js': provides('sa', 'sb') })
  await eventually(() =>
    expect(running.faults.map(({ error }) => error.message)).toContainEqual(
      expect.stringMatching(/'[ab]' provides it as well, by a change that goes together with this one/),
    ),
  )
  expect(providers(running)).toEqual({ 'sa@1.0.0': 'a', 'sb@1.0.0': 'b' })
})

/** `a` lies in x and `b` in y. */
const twoInOtherFolders = (): Promise<Running> =>
  startedWith({ x: { code: provides('sx'), manifest: { name: 'a' } }, y: { code: provides('sy'), manifest: { name: 'b' } } }, watch)
const named = (name: string): object => ({ name, version: '2.0.0', main: 'index.js' })

it('two plugins that swap their names are both replaced', async () => {
  const running = await twoInOtherFolders()
  save(running, { 'x/plugin.json': named('b'), 'y/plugin.json': named('a') })
  await eventually(() => expect(providers(running)).toEqual({ 'sx@1.0.0': 'b', 'sy@1.0.0': 'a' }))
  await eventually(() =>
    expect(running.kernel.plugins().map(({ name, version, path }) => [name, version, path])).toEqual([
      ['a', '2.0.0', join(running.folder, 'y')],
      ['b', '2.0.0', join(running.folder, 'x')],
    ]),
  )
})

it('names move on by one save: the plugin of a name goes on from where it lies now, and who has a new one comes in', async () => {
  const running = await twoInOtherFolders()
  save(running, { 'x/plugin.json': named('b'), 'y/plugin.json': named('c') })
  await eventually(() => expect(providers(running)).toEqual({ 'sx@1.0.0': 'b', 'sy@1.0.0': 'c' }))
  expect(running.kernel.plugins().map(({ name, path }) => [name, path])).toEqual([
    ['b', join(running.folder, 'x')],
    ['c', join(running.folder, 'y')],
  ])
})

const needs = (dependencies: Record<string, string>, version = '1.0.0') => ({ version, main: 'index.js', dependencies })
const plain = pluginCode({ start: '' })

it('a plugin and what needs it change their versions by one save: neither is stopped in between', async () => {
  const uses = (range: string): string => pluginCode({ start: `await ctx.services.use('s', { range: '${range}', wait: 0 })` })
  const running = await startedWith({ a: provides('s@1.0.0'), b: { code: uses('^1.0.0'), manifest: needs({ a: '^1.0.0' }) } }, watch)
  save(running, {
    'a/plugin.json': { name: 'a', ...needs({}, '2.0.0') },
    'a/index.js': provides('s@2.0.0'),
    'b/plugin.json': { name: 'b', ...needs({ a: '^2.0.0' }) },
    'b/index.js': uses('^2.0.0'),
  })
  await eventually(() => expect(running.replaced.map(({ name, to }) => `${name} ${to}`).sort()).toEqual(['a 2', 'b 2']))
  expect(infoOf(running.kernel, 'a').version).toBe('2.0.0')
  expect(stateOf(running.kernel, 'b')).toBe('running')
  expect(running.faults).toEqual([])
})

it('where the one that needs the new version is broken, what it needs stays as well', async () => {
  const running = await startedWith({ a: plain, b: { code: plain, manifest: needs({ a: '^1.0.0' }) } }, watch)
  // Judged together: the one that comes last completes the save.
  save(running, { 'b/plugin.json': { name: 'b', ...needs({ a: '^2.0.0' }) } })
  await eventually(() => expect(refusals(running)).toEqual([expect.stringContaining('when the other plugins allow it')]))
  save(running, { 'b/index.js': 'export default {' })
  await eventually(() => expect(refusals(running).length).toBeGreaterThan(1))
  save(running, { 'a/plugin.json': { name: 'a', ...needs({}, '2.0.0') } })
  await eventually(() => expect(refusals(running).at(-1)).toContain("with the next change of 'b'"))
  expect(generations(running)).toEqual({ a: 1, b: 1 })
  save(running, { 'b/index.js': plain })
  await eventually(() => expect([infoOf(running.kernel, 'a').version, stateOf(running.kernel, 'b')]).toEqual(['2.0.0', 'running']))
})

it('a dependency that turns round by one save is carried out, whatever the names', async () => {
  const running = await startedWith({ a: { code: plain, manifest: needs({ b: '*' }) }, b: plain }, watch)
  save(running, { 'b/plugin.json': { name: 'b', ...needs({ a: '*' }) }, 'a/plugin.json': { name: 'a', ...needs({}) } })
  await eventually(() =>
    expect(running.kernel.plugins().map(({ name, wave, state }) => [name, wave, state])).toEqual([
      ['a', 0, 'running'],
      ['b', 1, 'running'],
    ]),
  )
})

it('a change that needs a plugin which is not there yet is taken over when that comes', async () => {
  const running = await startedWith({ a: plain }, watch)
  save(running, { 'a/plugin.json': { name: 'a', ...needs({ late: '*' }, '2.0.0') } })
  await eventually(() => expect(refusals(running)).toHaveLength(1))
  expect(running.faults.map(({ error }) => codeOf(error))).toEqual(['DEPENDENCY_MISSING'])
  writePlugin(running.folder, 'late', { code: plain })
  await eventually(() => expect(infoOf(running.kernel, 'a')).toMatchObject({ version: '2.0.0', state: 'running' }))
})

it('two that would need each other both stay, and the log says why', async () => {
  const running = await startedWith({ a: plain, b: plain }, watch)
  save(running, { 'a/plugin.json': { name: 'a', ...needs({ b: '*' }) }, 'b/plugin.json': { name: 'b', ...needs({ a: '*' }) } })
  await eventually(() => expect(refusals(running)).toHaveLength(2))
  expect(running.faults.map(({ error }) => error.message)).toEqual(Array(2).fill(expect.stringMatching(/a → b → a|b → a → b/)))
  expect(generations(running)).toEqual({ a: 1, b: 1 })
})
