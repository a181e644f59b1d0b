/** Plugins whose files are moved while they are watched. */
import { mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { codeOf } from '#src/wire-error.js'
import { eventually } from '../support/eventually.js'
import { emptyFolder, infoOf, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { save } from '../support/save.js'

const providing = (service: string): string => pluginCode({ start: `await ctx.services.provide('${service}', { who: () => ctx.name })` })
const needing = (name: string) => ({ code: pluginCode({ start: '' }), manifest: { dependencies: { [name]: '*' } } })

/** A kernel that watches the folder that was written to. */
const watching = async (write: (folder: string) => void) => {
  const folder = emptyFolder()
  write(folder)
  const running = await startedWith({}, { plugins: folder, watch: true })
  const providers = (): string[] => running.kernel.services.list().map(({ name, provider }) => `${name} of ${provider}`)
  return { ...running, folder, providers }
}

const renamings: [string, (folder: string) => void, (folder: string) => void, string][] = [
  [
    'a module gets another ending',
    (folder) => writeFileSync(join(folder, 'q.js'), providing('q')),
    (folder) => renameSync(join(folder, 'q.js'), join(folder, 'q.mjs')),
    'q.mjs',
  ],
  [
    'a folder with a manifest gets another name',
    (folder) => void writePlugin(folder, 'old', { code: providing('q'), manifest: { name: 'q' } }),
    (folder) => renameSync(join(folder, 'old'), join(folder, 'new')),
    'new',
  ],
  [
    'a module becomes a folder',
    (folder) => writeFileSync(join(folder, 'q.js'), providing('q')),
    (folder) => {
      mkdirSync(join(folder, 'q'))
      renameSync(join(folder, 'q.js'), join(folder, 'q', 'index.js'))
    },
    'q',
  ],
  [
    'a folder becomes a module and stays behind, empty',
    (folder) => {
      mkdirSync(join(folder, 'q'))
      writeFileSync(join(folder, 'q', 'index.mjs'), providing('q'))
    },
    (folder) => renameSync(join(folder, 'q', 'index.mjs'), join(folder, 'q.mjs')),
    'q.mjs',
  ],
]

it.each(renamings)(
  '%s: it runs on from there as the next generation, and those that depend on it run on',
  async (_what, write, move, now) => {
    const { kernel, folder, replaced, states, faults } = await watching((folder) => {
      write(folder)
      writePlugin(folder, 'dep', needing('q'))
    })
    states.length = 0
    move(folder)
    await eventually(() => expect(replaced.map(({ name, to, reason }) => [name, to, reason])).toEqual([['q', 2, 'file change']]))
    expect(infoOf(kernel, 'q').path).toBe(join(folder, now))
    expect(states.filter(({ name, generation }) => name === 'dep' || generation === 1).map(({ to }) => to)).toEqual(['stopping', 'stopped'])
    expect([stateOf(kernel, 'q'), stateOf(kernel, 'dep')]).toEqual(['running', 'running'])
    expect(faults.filter(({ error }) => codeOf(error) === 'PLUGIN_DUPLICATE')).toEqual([])
    // It is watched where it is now.
    rmSync(join(folder, now), { recursive: true })
    await eventually(() => expect(kernel.plugins().map(({ name }) => name)).toEqual(['dep']))
  },
)

it.each(['folder', 'file'])(
  'a plugin whose own name changes with its %s is unloaded before it takes over the service of what it was, without a fault',
  async (kind) => {
    const place = (name: string): string => (kind === 'file' ? `${name}.js` : name)
    const { folder, providers, kernel, states, faults, lines } = await watching((folder) => {
      if (kind === 'folder') mkdirSync(join(folder, 'one'))
      writeFileSync(join(folder, kind === 'file' ? 'one.js' : 'one/index.js'), providing('s'))
    })
    expect(providers()).toEqual(['s of one'])
    states.length = 0
    renameSync(join(folder, place('one')), join(folder, place('two')))
    await eventually(() => expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([['two', 'running']]))
    expect(providers()).toEqual(['s of two'])
    expect(states.map(({ name, to }) => `${name} ${to}`)).toEqual([
      'one stopping',
      'one stopped',
      'two resolved',
      'two initializing',
      'two starting',
      'two running',
    ])
    expect(faults).toEqual([])
    expect(lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
  },
)

it('of two plugins of one name, the one that was left out comes in when the files of the other go', async () => {
  const { kernel, folder, lines } = await watching((folder) => {
    writeFileSync(join(folder, 'q.js'), providing('q'))
    writeFileSync(join(folder, 'q.mjs'), providing('q'))
    writePlugin(folder, 'dep', needing('q'))
  })
  expect(lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
    expect.stringContaining("Two plugins are named 'q'"),
  ])
  unlinkSync(join(folder, 'q.js'))
  await eventually(() => expect(infoOf(kernel, 'q').path).toBe(join(folder, 'q.mjs')))
  // And one that comes while the other is there.
  writeFileSync(join(folder, 'q.ts'), providing('q'))
  await eventually(() => expect(lines.some(({ message }) => message.includes("A plugin named 'q' is already loaded"))).toBe(true))
  unlinkSync(join(folder, 'q.mjs'))
  await eventually(() => expect(infoOf(kernel, 'q').path).toBe(join(folder, 'q.ts')))
  await eventually(() => expect([stateOf(kernel, 'q'), stateOf(kernel, 'dep')]).toEqual(['running', 'running']))
})

it('what lies where a plugin lay comes in when that is read anew, also where it is disabled in the place that it has now', async () => {
  const code = pluginCode({ start: '' })
  const running = await startedWith({ f0: { code, manifest: { name: 'a' } }, f1: { code, manifest: { name: 'b' } } })
  const { kernel } = running
  save(running, { 'f1/plugin.json': { name: 'a', enabled: false }, 'f0/plugin.json': { name: 'c' } })
  await kernel.reload('a')
  expect(infoOf(kernel, 'a')).toMatchObject({ state: 'disabled', path: join(running.folder, 'f1') })
  expect(infoOf(kernel, 'c')).toMatchObject({ state: 'running', path: join(running.folder, 'f0') })
})

it('one that is moved and no good where it is now does not run on as it was, and its next save mends it', async () => {
  const { kernel, folder } = await watching((folder) => writeFileSync(join(folder, 'q.js'), providing('q')))
  writeFileSync(join(folder, 'q.tmp'), "export default { start() { throw new Error('no luck') } }")
  unlinkSync(join(folder, 'q.js'))
  renameSync(join(folder, 'q.tmp'), join(folder, 'q.mjs'))
  await eventually(() => expect([infoOf(kernel, 'q').path, stateOf(kernel, 'q')]).toEqual([join(folder, 'q.mjs'), 'failed']))
  writeFileSync(join(folder, 'q.mjs'), providing('q'))
  await eventually(() => expect(stateOf(kernel, 'q')).toBe('running'))
})

describe('one that cannot go on from where it was moved, while another lies where it lay,', () => {
  const code = pluginCode({ start: '' })
  const moved = async () => {
    const { kernel, folder, faults } = await watching((folder) => {
      writePlugin(folder, 'a', { code, manifest: { name: 'p' } })
      writePlugin(folder, 'b', { code, manifest: { name: 'q' } })
    })
    const places = (): string[] => kernel.plugins().map(({ name, path, state }) => `${name} in ${relative(folder, path)} is ${state}`)
    save(
      { folder },
      {
        'a/plugin.json': { name: 'q' },
        'b/plugin.json': { name: 'p' },
        'b/index.js': "export default { start() { throw new Error('no luck') } }",
      },
    )
    await eventually(() => expect([faults.map(({ name }) => name), places()]).toEqual([['p'], ['p in a is running', 'q in a is running']]))
    return { folder, places }
  }

  it('does so with its next save there', async () => {
    const { folder, places } = await moved()
    save({ folder }, { 'b/index.js': code })
    await eventually(() => expect(places()).toEqual(['p in b is running', 'q in a is running']))
  })

  it('is unloaded when that goes, too', async () => {
    const { folder, places } = await moved()
    rmSync(join(folder, 'b'), { recursive: true })
    await eventually(() => expect(places()).toEqual(['q in a is running']))
  })
})

it('a plugin that is read anew is found where it was moved', async () => {
  const { kernel, folder } = await startedWith({ p: pluginCode({ start: '' }) })
  renameSync(join(folder, 'p'), join(folder, 'moved'))
  await kernel.reload('p')
  expect(infoOf(kernel, 'p')).toMatchObject({ generation: 2, path: join(folder, 'moved') })
})

it('a plugin that is given another name in its manifest is that one from there on', async () => {
  const { kernel, folder } = await watching((folder) => void writePlugin(folder, 'q', { code: providing('q') }))
  writePlugin(folder, 'q', { code: providing('q'), manifest: { name: 'r' } })
  await eventually(() => expect(kernel.plugins().map(({ name, state }) => [name, state])).toEqual([['r', 'running']]))
})

it('a plugin that runs on without its module goes on from the one that comes for it later', async () => {
  const { kernel, folder, replaced, faults } = await watching((folder) => {
    mkdirSync(join(folder, 'q'))
    writeFileSync(join(folder, 'q', 'index.mjs'), providing('q'))
  })
  unlinkSync(join(folder, 'q', 'index.mjs'))
  await eventually(() => expect(faults.map(({ error }) => codeOf(error))).toEqual(['MANIFEST_MISSING']))
  writeFileSync(join(folder, 'q.mjs'), providing('q'))
  await eventually(() => expect(replaced.map(({ name, to }) => [name, to])).toEqual([['q', 2]]))
  expect(infoOf(kernel, 'q').path).toBe(join(folder, 'q.mjs'))
})
