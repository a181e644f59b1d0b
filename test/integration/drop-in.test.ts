import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, infoOf, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const SOUND = 'export default { start() {} }'
/** What waits does so as long as the test holds the gate: no limit of its own is to cut that short on a busy machine. */
const GATED = "await (await ctx.services.use('gate', { timeout: 0 })).opened()"
const patient = { watch: true, defaults: { limits: { startTimeout: 60_000, stopTimeout: 60_000 } } }
const BROKEN: [string, string][] = [
  ['throws in start', "export default { start() { throw new Error('no luck') } }"],
  ['does not parse', 'export default {'],
]

describe('a plugin that is dropped in and is no good', () => {
  it.each(BROKEN)('(%s) is told once, and taken up when its next save mends it', async (_what, broken) => {
    const { kernel, folder } = await startedWith({}, { watch: true })
    const elsewhere = emptyFolder()
    const faults: string[] = []
    kernel.on('plugin:fault', ({ name, error }) => faults.push(`${name} ${(error as { code?: string }).code}`))
    const save = (text: string): void => {
      writeFileSync(join(elsewhere, 'saved'), text)
      renameSync(join(elsewhere, 'saved'), join(folder, 'unlucky.js'))
    }
    save(broken)
    await eventually(() => expect([stateOf(kernel, 'unlucky'), faults.length]).toEqual(['failed', 1]))
    save(SOUND)
    await eventually(() => expect(stateOf(kernel, 'unlucky')).toBe('running'))
    expect(faults).toHaveLength(1)
    rmSync(join(folder, 'unlucky.js'))
    await eventually(() => expect(kernel.plugins()).toEqual([]))
  })
})

it('a plugin that is dropped in and lacks what it depends on is told by its name', async () => {
  const { kernel, folder, faults, lines } = await startedWith({}, { watch: true })
  const elsewhere = emptyFolder()
  mkdirSync(join(elsewhere, 'needy'))
  writeFileSync(join(elsewhere, 'needy', 'index.js'), SOUND)
  writeFileSync(join(elsewhere, 'needy', 'plugin.json'), JSON.stringify({ name: 'needy', version: '1.0.0', dependencies: { absent: '*' } }))
  renameSync(join(elsewhere, 'needy'), join(folder, 'needy'))
  await eventually(() => expect(faults.map(({ name, error }) => [name, error.code])).toEqual([['needy', 'DEPENDENCY_MISSING']]))
  expect(stateOf(kernel, 'needy')).toBe('failed')
  expect(infoOf(kernel, 'needy').history.map(({ code }) => code)).toEqual(['DEPENDENCY_MISSING'])
  expect(lines.filter(({ level }) => level === 'error').map(({ fields }) => fields['plugin'])).toEqual(['needy'])
})

it('a plugin that is dropped in and cannot be read is explained', async () => {
  const { kernel, folder, faults } = await startedWith({}, { watch: true })
  const elsewhere = emptyFolder()
  mkdirSync(join(elsewhere, 'odd'))
  writeFileSync(join(elsewhere, 'odd', 'plugin.json'), '{ "name": "odd", "colour": "red" }')
  renameSync(join(elsewhere, 'odd'), join(folder, 'odd'))
  await eventually(() => expect(faults).toHaveLength(1))
  expect(kernel.explain('odd')).toMatchObject({ running: false, code: 'MANIFEST_INVALID' })
})

it('a plugin that is dropped in and removed while another that waited for it starts is no fault', async () => {
  const needy = {
    code: `export default { async start(ctx) { ${GATED} } }`,
    manifest: { dependencies: { late: '*' } },
  }
  const { kernel, folder, faults } = await startedWith({ needy }, patient)
  let started = false
  await kernel.services.provide('gate', { opened: () => new Promise<void>(() => (started = true)) })
  writeFileSync(join(folder, 'late.mjs'), SOUND)
  await eventually(() => expect(started).toBe(true))
  rmSync(join(folder, 'late.mjs'))
  await eventually(() => expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([['needy', 'failed']]))
  expect(faults).toEqual([])
})

it('a plugin whose folder comes back while it is being stopped is loaded again', async () => {
  const code = `export default { start() {}, async stop(ctx) { ${GATED} } }`
  const { kernel, folder, faults, states } = await startedWith({ p: code, ok: SOUND }, patient)
  let free: (() => void) | undefined
  // It holds the first alone.
  await kernel.services.provide('gate', { opened: () => (free ? undefined : new Promise<void>((resolve) => (free = resolve))) })
  const aside = join(emptyFolder(), 'p')
  renameSync(join(folder, 'p'), aside)
  await eventually(() => expect(free).toBeDefined())
  renameSync(aside, join(folder, 'p'))
  // The watcher is past that when it has seen two more, one after the other.
  for (const late of ['late', 'later']) {
    writeFileSync(join(folder, `${late}.js`), SOUND)
    await eventually(() => expect(kernel.plugins().map(({ name }) => name)).toContain(late))
  }
  free?.()
  await eventually(() => expect(stateOf(kernel, 'p')).toBe('running'))
  expect(states.filter(({ name, to }) => name === 'p' && to === 'running')).toHaveLength(2)
  // Its saves are seen from there on.
  writeFileSync(join(folder, 'p', 'index.js'), `${SOUND} // saved`)
  await eventually(() => expect(infoOf(kernel, 'p').generation).toBe(2))
  expect(faults).toEqual([])
})

describe('a plugin whose files come one after the other', () => {
  it('is what its manifest says when that comes after its module', async () => {
    const { kernel, folder, faults } = await startedWith({}, { watch: true })
    mkdirSync(join(folder, 'slow'))
    writeFileSync(join(folder, 'slow', 'index.js'), SOUND)
    await eventually(() => expect(stateOf(kernel, 'slow')).toBe('running'))
    writeFileSync(join(folder, 'slow', 'plugin.json'), JSON.stringify({ name: 'slow', version: '1.2.0', isolation: 'inline' }))
    await eventually(() => expect(infoOf(kernel, 'slow')).toMatchObject({ version: '1.2.0', isolation: 'inline', state: 'running' }))
    expect(faults).toEqual([])
  })

  it('is what its manifest says when that comes while it waits for its turn', async () => {
    const { kernel, folder, faults } = await startedWith({}, patient)
    let free: (() => void) | undefined
    await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
    const waits = `export default { async start(ctx) { ${GATED} } }`
    writeFileSync(join(folder, 'first.js'), waits)
    await eventually(() => expect(free).toBeDefined())
    mkdirSync(join(folder, 'slow'))
    writeFileSync(join(folder, 'slow', 'index.js'), SOUND)
    await eventually(() => expect(stateOf(kernel, 'slow')).toBe('discovered'))
    writeFileSync(join(folder, 'slow', 'plugin.json'), JSON.stringify({ name: 'slow', version: '1.2.0' }))
    free?.()
    await eventually(() => expect(infoOf(kernel, 'slow')).toMatchObject({ version: '1.2.0', state: 'running' }))
    expect(faults).toEqual([])
  })

  it('is what its manifest says when that comes while it waits for its turn, also where somebody loads it from elsewhere', async () => {
    const { kernel, folder } = await startedWith({}, { watch: true })
    let free: (() => void) | undefined
    await kernel.services.provide('gate', { opened: () => new Promise<void>((resolve) => (free = resolve)) })
    writeFileSync(join(folder, 'first.js'), "export default { async start(ctx) { await (await ctx.services.use('gate')).opened() } }")
    await eventually(() => expect(free).toBeDefined())
    const slow = writePlugin(emptyFolder(), 'slow', { code: SOUND })
    const loaded = kernel.load(slow)
    await eventually(() => expect(stateOf(kernel, 'slow')).toBe('discovered'))
    writePlugin(dirname(slow), 'slow', { code: SOUND, manifest: { version: '1.2.0' } })
    free?.()
    await loaded
    await eventually(() => expect(infoOf(kernel, 'slow')).toMatchObject({ version: '1.2.0', state: 'running' }))
  })

  it('has the name that its manifest gives it', async () => {
    const { kernel, folder } = await startedWith({}, { watch: true })
    mkdirSync(join(folder, 'slow'))
    writeFileSync(join(folder, 'slow', 'index.js'), SOUND)
    await eventually(() => expect(stateOf(kernel, 'slow')).toBe('running'))
    writeFileSync(join(folder, 'slow', 'plugin.json'), JSON.stringify({ name: 'other' }))
    await eventually(() => expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([['other', 'running']]))
  })
})
