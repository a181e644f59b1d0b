/**
 * Learning: what real plugins use is recorded instead of refused, and the least permissions that follow are enough for them, and no more.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import nodeModule from 'node:module'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import type { Kernel, KernelOptions, Permission } from 'plugbay'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, kernelWith, pluginCode, startedWith } from '../support/plugin-folder.js'

/** A server that answers, and its port. */
const listening = async (): Promise<number> => {
  const server = createServer((_request, response) => response.end('here'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const learnedOf = async (kernel: Kernel, name: string) => {
  const found = (await kernel.learned()).find(({ plugin }) => plugin === name)
  if (found === undefined) throw new Error(`nothing was learnt of '${name}'`)
  return found
}

/** Uses some of everything. */
const greedy = (file: string, port: number): string =>
  pluginCode(
    {
      start: `
        const users = await ctx.services.use('users')
        ctx.bus.subscribe('user.*', () => {})
        ctx.bus.subscribe('user.login', () => {})
        await ctx.services.provide('greeter', { greet: () => 'hello' })
        for (const id of [1, 2, 3, 4, 5]) await ctx.bus.publish('order.' + id + '.paid')
        await ctx.bus.publish('user.welcome', { mode: process.env.GREETER_MODE, cpus: cpus().length })
        await users.find('1')
        await users.find('2')
        await ctx.fs.readFile(${JSON.stringify(file)}, 'utf8')
        await ctx.fs.writeFile('own.txt', 'of its own folder')
        await (await ctx.fetch('http://127.0.0.1:${port}/')).text()
      `,
    },
    "import { cpus } from 'node:os'",
  )

describe.each(['thread', 'inline', 'process'] as const)('what a plugin in a place of kind %s used', (isolation) => {
  const started = async (options: KernelOptions, permissions: readonly Permission[] | undefined, file: string, port: number) => {
    const manifest = { isolation, ...(permissions ? { permissions } : {}) }
    const running = await kernelWith({ greeter: { manifest, code: greedy(file, port) } }, options)
    running.kernel.services.provide('users', { find: (id: string) => id, remove: () => {} })
    await running.kernel.start()
    return running
  }

  test('is learnt, and is enough for it', async () => {
    const file = join(emptyFolder(), 'notes.txt')
    writeFileSync(file, 'hello')
    const port = await listening()
    const learning = await started({ learn: true }, [{ resource: 'bus:nothing.else', actions: ['publish'] }], file, port)
    expect(learning.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    const learned = await learnedOf(learning.kernel, 'greeter')
    expect(learned).toEqual({
      plugin: 'greeter',
      manifestPath: join(learning.folder, 'greeter/plugin.json'),
      asked: [{ resource: 'bus:nothing.else', actions: ['publish'] }],
      least: [
        { resource: 'bus:order.*.paid', actions: ['publish'] },
        { resource: 'bus:user.*', actions: ['subscribe'] },
        { resource: 'bus:user.welcome', actions: ['publish'] },
        { resource: 'service:greeter', actions: ['provide'] },
        { resource: 'service:users', actions: ['call:find'] },
        { resource: `fs:${file}`, actions: ['read'] },
        { resource: `net:127.0.0.1:${port}`, actions: ['connect'] },
        { resource: 'env:GREETER_MODE', actions: ['read'] },
        { resource: 'builtin:os', actions: ['import'] },
      ],
      notes: isolation === 'inline' ? [expect.stringContaining('runs inline') as string] : [],
    })
    await learning.kernel.stop()
    expect(await learnedOf(learning.kernel, 'greeter')).toEqual(learned)

    const held = await started({}, learned.least, file, port)
    expect(held.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    expect(held.faults).toEqual([])
  })
})

test.each(['thread', 'inline'] as const)(
  'variables that its manifest names for a plugin in a place of kind %s are learnt',
  async (isolation) => {
    const plugin = { code: pluginCode({ start: '' }), manifest: { isolation, config: { defaults: { port: '${SERVER_PORT:-80}' } } } }
    const needed = [{ resource: 'env:SERVER_PORT', actions: ['read'] }]
    const learning = await startedWith({ server: plugin }, { learn: true })
    expect((await learnedOf(learning.kernel, 'server')).least).toEqual(needed)
    await learning.kernel.stop()

    const held = await startedWith({ server: { ...plugin, manifest: { ...plugin.manifest, permissions: needed } } })
    expect(held.kernel.plugins()[0]).toMatchObject({ state: 'running' })
  },
)

test('globals that come with a module of Node are learnt as that, and are enough for what used them', async () => {
  const code = pluginCode({
    start: `
      const packed = new Blob(['x']).stream().pipeThrough(new CompressionStream('gzip'))
      await new Response(packed.pipeThrough(new DecompressionStream('gzip'))).text()
      await crypto.subtle.digest('SHA-256', new Uint8Array(1))`,
  })
  const idle = pluginCode({ start: 'if (typeof CompressionStream !== "function" || !crypto.randomUUID()) throw new Error("none")' })
  const learning = await startedWith({ code, idle }, { learn: true })
  const { least } = await learnedOf(learning.kernel, 'code')
  expect(least).toEqual(['crypto', 'zlib'].map((name) => ({ resource: `builtin:${name}`, actions: ['import'] })))
  expect((await learnedOf(learning.kernel, 'idle')).least).toEqual([])
  await learning.kernel.stop()

  const held = await startedWith({ code: { manifest: { permissions: least }, code } })
  expect(held.kernel.plugins()[0]).toMatchObject({ state: 'running' })
})

describe.each(['thread', 'process'] as const)('the hosts that a plugin in a place of kind %s reaches by itself', (isolation) => {
  test('are learnt, and are enough for it', async () => {
    const [one, other] = [await listening(), await listening()]
    const code = pluginCode(
      {
        start: `
          await (await fetch('http://127.0.0.1:${one}/')).text()
          await new Promise((resolve, reject) => get('http://localhost:${other}/', (response) => response.resume().on('end', resolve)).on('error', reject))
          const { address } = await lookup('localhost', 4)
          await new Promise((resolve, reject) => connect(${one}, address, resolve).on('error', reject))
          await new Promise((resolve, reject) => createServer().on('error', reject).listen(0, '127.0.0.1', resolve))
        `,
      },
      "import { lookup } from 'node:dns/promises'\nimport { get } from 'node:http'\nimport { connect, createServer } from 'node:net'",
    )
    const needed = [
      { resource: 'net:127.0.0.1:0', actions: ['listen'] },
      { resource: `net:127.0.0.1:${one}`, actions: ['connect'] },
      { resource: `net:localhost:${one}`, actions: ['connect'] },
      { resource: `net:localhost:${other}`, actions: ['connect'] },
    ].sort((a, b) => (a.resource < b.resource ? -1 : 1))
    const learning = await startedWith({ far: { manifest: { isolation }, code } }, { learn: true })
    expect(learning.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    const { least, notes } = await learnedOf(learning.kernel, 'far')
    expect(least).toEqual(needed)
    expect(notes).not.toContainEqual(expect.stringContaining('hosts'))
    await learning.kernel.stop()
    const held = await startedWith({ far: { manifest: { isolation, permissions: least }, code } })
    expect(held.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    expect(held.faults).toEqual([])
  })
})

/** Names nothing where it stands in the code. */
const EVASIVE = `
  const { PLUGBAY_LEARNT, PLUGBAY_UNSET = 'none' } = process.env
  if (PLUGBAY_LEARNT !== 'here' || PLUGBAY_UNSET !== 'none') throw new Error('not the variables it needs: ' + PLUGBAY_LEARNT)
  if (!('PLUGBAY_TOO' in process['env'])) throw new Error('a variable is missing')
  const all = { ...process.env }
  for (const name in process.env) void process.env[name]
  void Object.entries(process.env)
  await import('node:' + 'zlib')
  await import('node:' + 'path')
  await import('tt' + 'y')`

const variables = (): Permission[] => {
  vi.stubEnv('PLUGBAY_LEARNT', 'here')
  vi.stubEnv('PLUGBAY_TOO', 'here')
  vi.stubEnv('PLUGBAY_NOT_ASKED_FOR', 'here')
  onTestFinished(() => void vi.unstubAllEnvs())
  return ['LEARNT', 'TOO', 'UNSET'].map((name) => ({ resource: `env:PLUGBAY_${name}`, actions: ['read'] }))
}

/** Opens `node:fs`, and no more than is open to every plugin. */
const OWN_FOLDER: Permission = { resource: 'fs:.', actions: ['read'] }

const modules = ['tty', 'zlib'].map((name) => ({ resource: `builtin:${name}`, actions: ['import'] }))

describe('what only shows as it runs', () => {
  test.each(['thread', 'process'] as const)('is learnt in a place of kind %s, and is enough for it', async (isolation) => {
    const needed = variables()
    const code = pluginCode({ start: EVASIVE })
    const learning = await startedWith({ evasive: { manifest: { isolation }, code } }, { learn: true })
    expect(learning.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    const { least } = await learnedOf(learning.kernel, 'evasive')
    // A process needs no permission for these modules, and Node before 22.15 shows there only what the code says.
    const seen = isolation === 'thread' || 'registerHooks' in nodeModule
    expect(least).toEqual([...needed, ...(seen ? modules : [])])
    await learning.kernel.stop()
    const held = await startedWith({ evasive: { manifest: { isolation, permissions: least }, code } })
    expect(held.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    expect(held.faults).toEqual([])
  })

  test('is learnt of a task, and is enough for it', async () => {
    const needed = [...variables(), ...modules]
    const plugin = (permissions?: readonly Permission[]) => ({
      manifest: { tasks: { hidden: 'hidden.js' }, ...(permissions ? { permissions } : {}) },
      code: pluginCode({ start: "await ctx.tasks.run('hidden')" }),
    })
    const started = async (options: KernelOptions, permissions?: readonly Permission[]) => {
      const running = await kernelWith({ evasive: plugin(permissions) }, options)
      writeFileSync(join(running.folder, 'evasive/hidden.js'), `export default async () => {${EVASIVE}}`)
      await running.kernel.start()
      expect(running.kernel.plugins()[0]).toMatchObject({ state: 'running' })
      return running
    }
    const learning = await started({ learn: true })
    await eventually(async () => expect((await learnedOf(learning.kernel, 'evasive')).least).toEqual(needed))
    await learning.kernel.stop()
    expect((await started({}, needed)).faults).toEqual([])
  })

  test('is of children and files as of what the code names', async () => {
    const code = pluginCode({ start: "for (const name of ['child_process', 'fs']) await import('node:' + name)" })
    const { kernel } = await startedWith({ hidden: code }, { learn: true })
    const { least } = await learnedOf(kernel, 'hidden')
    expect(least).toEqual([OWN_FOLDER, { resource: 'child', actions: ['use'] }])
    await kernel.stop()
    const held = await startedWith({ hidden: { manifest: { permissions: least }, code } })
    expect(held.faults).toEqual([])
  })

  test('is of files that a plugin and its task reach by modules of Node, and is enough for them', async () => {
    const far = emptyFolder()
    for (const name of ['read.txt', 'looked-at.txt', 'streamed.txt', 'moved.txt', 'of-the-task.txt']) writeFileSync(join(far, name), name)
    const at = (name: string): string => JSON.stringify(join(far, name))
    const plugin = (permissions?: readonly Permission[]) => ({
      manifest: { tasks: { reader: 'reader.js' }, ...(permissions ? { permissions } : {}) },
      code: pluginCode(
        {
          start: `
            fs.readFileSync(${at('read.txt')})
            fs.existsSync(${at('looked-at.txt')})
            await promises.readFile(new URL('package.json', import.meta.url)).catch(() => {})
            await text(fs.createReadStream(${at('streamed.txt')}))
            fs.writeFileSync(${at('written.txt')}, '')
            fs.renameSync(${at('written.txt')}, ${at('moved.txt')})
            fs.mkdirSync(ctx.dataDir + '/deep/er', { recursive: true })
            await ctx.tasks.run('reader')
          `,
        },
        "import fs, { promises } from 'node:fs'\nimport { text } from 'node:stream/consumers'",
      ),
    })
    const started = async (options: KernelOptions, permissions?: readonly Permission[]) => {
      const running = await kernelWith({ reader: plugin(permissions) }, options)
      const task = `import { openSync, closeSync } from 'node:fs'\nexport default () => closeSync(openSync(${at('of-the-task.txt')}, 'r+'))`
      writeFileSync(join(running.folder, 'reader/reader.js'), task)
      await running.kernel.start()
      expect(running.kernel.plugins()[0]).toMatchObject({ state: 'running' })
      return running
    }
    const learning = await started({ learn: true })
    const needed = [
      // More than three.
      { resource: `fs:${far}`, actions: ['read'] },
      ...['moved', 'of-the-task', 'written'].map((name) => ({ resource: `fs:${join(far, `${name}.txt`)}`, actions: ['write'] })),
      { resource: 'fs:data', actions: ['write'] },
    ]
    await eventually(async () => expect(await learnedOf(learning.kernel, 'reader')).toMatchObject({ least: needed }))
    expect((await learnedOf(learning.kernel, 'reader')).notes).not.toContainEqual(expect.stringContaining('node:fs'))
    await learning.kernel.stop()
    const held = await started({}, needed)
    expect(held.faults).toEqual([])
  })

  test.each(['thread', 'process'] as const)(
    'is of the folder in which one in a %s makes folders by names that nobody chose',
    async (isolation) => {
      const [scratch, later] = [emptyFolder(), emptyFolder()]
      const code = pluginCode(
        {
          start: `
          const asked = (prefix) => new Promise((done, failed) => fs.mkdtemp(prefix, (error, made) => (error ? failed(error) : done(made))))
          const beginning = ${JSON.stringify(scratch)} + '/../' + ${JSON.stringify(basename(scratch))} + '/t-'
          for (const made of [fs.mkdtempSync(beginning), await asked(beginning), await promises.mkdtemp(${JSON.stringify(join(later, 't-'))})]) {
            fs.writeFileSync(made + '/left.txt', 'left')
            fs.readFileSync(made + '/left.txt')
            await ctx.tasks.run('reader', made)
          }
          fs.rmSync(fs.mkdtempSync(beginning, { encoding: 'buffer' }), { recursive: true })
        `,
        },
        "import fs, { promises } from 'node:fs'",
      )
      const started = async (options: KernelOptions, permissions?: readonly Permission[]) => {
        const manifest = { isolation, tasks: { reader: 'reader.js' }, ...(permissions ? { permissions } : {}) }
        const running = await kernelWith({ maker: { manifest, code } }, options)
        const task = "import { readdirSync } from 'node:fs'\nexport default (folder) => readdirSync(folder)"
        writeFileSync(join(running.folder, 'maker/reader.js'), task)
        await running.kernel.start()
        expect(running.kernel.plugins()[0]).toMatchObject({ state: 'running' })
        return running
      }
      const learning = await started({ learn: true })
      const needed = [scratch, later].map((folder) => ({ resource: `fs:${folder}`, actions: ['read', 'write'] }))
      needed.sort((a, b) => (a.resource < b.resource ? -1 : 1))
      await eventually(async () => expect((await learnedOf(learning.kernel, 'maker')).least).toEqual(needed))
      await learning.kernel.stop()
      const held = await started({}, needed)
      expect(held.faults).toEqual([])
    },
  )

  test('is of files that a plugin in a process reaches by modules of Node, and is enough for it', async () => {
    const [far, made] = [emptyFolder(), emptyFolder()]
    writeFileSync(join(far, 'shared.mjs'), "export const shared = 'shared'")
    for (const name of ['read.txt', 'looked-at.txt', 'streamed.txt', 'written.txt']) writeFileSync(join(far, name), name)
    const at = (folder: string, name: string): string => JSON.stringify(join(folder, name))
    const code = pluginCode(
      {
        start: `
          fs.readFileSync(${at(far, 'read.txt')})
          fs.existsSync(${at(far, 'looked-at.txt')})
          await promises.readFile(${at(far, 'not-there.txt')}).catch(({ code }) => { if (code !== 'ENOENT') throw new Error(code) })
          await promises.readFile(new URL('package.json', import.meta.url)).catch(() => {})
          await text(fs.createReadStream(${at(far, 'streamed.txt')}))
          await promises.appendFile(${at(far, 'written.txt')}, 'more')
          fs.mkdirSync(${at(made, 'deep/er')}, { recursive: true })
          fs.writeFileSync(${at(made, 'deep/er/new.txt')}, '')
          fs.renameSync(${at(made, 'deep/er/new.txt')}, ${at(made, 'moved.txt')})
          fs.readFileSync(${at(made, 'moved.txt')})
          fs.rmSync(${at(made, 'moved.txt')})
          fs.writeFileSync(ctx.dataDir + '/own.txt', 'own')
          fs.readFileSync(ctx.dataDir + '/own.txt')
          if (shared !== 'shared') throw new Error('no module beyond its folder')
        `,
      },
      `import fs, { promises } from 'node:fs'\nimport { text } from 'node:stream/consumers'\nimport { shared } from ${at(far, 'shared.mjs')}`,
    )
    const needed = [
      // More than three.
      { resource: `fs:${far}`, actions: ['read'] },
      { resource: `fs:${join(far, 'written.txt')}`, actions: ['write'] },
      // What is made, moved and removed takes the folder.
      { resource: `fs:${made}`, actions: ['read', 'write'] },
    ].sort((a, b) => (a.resource < b.resource ? -1 : 1))
    const learning = await startedWith({ apart: { manifest: { isolation: 'process' }, code } }, { learn: true })
    expect(learning.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    await eventually(async () => expect((await learnedOf(learning.kernel, 'apart')).least).toEqual(needed))
    expect((await learnedOf(learning.kernel, 'apart')).notes).not.toContainEqual(expect.stringContaining('node:fs'))
    await learning.kernel.stop()
    rmSync(join(made, 'deep'), { recursive: true })
    const held = await startedWith({ apart: { manifest: { isolation: 'process', permissions: needed }, code } })
    expect(held.kernel.plugins()[0]).toMatchObject({ state: 'running' })
    expect(held.faults).toEqual([])
  })
})

describe('learning', () => {
  test('leaves what the operator grants as it is', async () => {
    const { kernel, faults } = await startedWith(
      {
        held: pluginCode({ start: "await ctx.bus.publish('secret')" }),
        free: {
          manifest: { permissions: [{ resource: 'bus:free', actions: ['publish'] }] },
          code: pluginCode({ start: "await ctx.bus.publish('secret')" }),
        },
      },
      { learn: true, grants: { held: {} } },
    )
    expect(kernel.plugins()).toMatchObject([
      { name: 'free', state: 'running' },
      { name: 'held', state: 'failed', permissions: [] },
    ])
    expect(faults.map(({ name }) => name)).toContain('held')
    expect((await kernel.learned()).map(({ plugin }) => plugin)).toEqual(['free'])
  })

  test('adds nothing that a role of the plugin allows', async () => {
    const { kernel } = await startedWith(
      {
        shop: {
          manifest: { roles: ['talks'] },
          code: pluginCode({ start: "await ctx.bus.publish('user.login'); await ctx.bus.publish('order.paid')" }),
        },
      },
      { learn: true, roles: { talks: [{ resource: 'bus:user.*', actions: ['*'] }] } },
    )
    expect((await learnedOf(kernel, 'shop')).least).toEqual([{ resource: 'bus:order.paid', actions: ['publish'] }])
  })

  test('names files within the project by their way from the plugin, and the folder for many of one', async () => {
    const { kernel, folder } = await kernelWith(
      {
        reader: pluginCode({
          start: `
            for (const name of ['a', 'b', 'c', 'd']) await ctx.fs.readFile(ctx.dataDir + '/../../shared/many/' + name, 'utf8')
            await ctx.fs.writeFile(ctx.dataDir + '/../../shared/one.txt', '')
          `,
        }),
      },
      { learn: true },
    )
    mkdirSync(join(folder, 'shared/many'), { recursive: true })
    for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(folder, 'shared/many', name), name)
    await kernel.start()
    expect((await learnedOf(kernel, 'reader')).least).toEqual([
      { resource: 'fs:../shared/many', actions: ['read'] },
      { resource: 'fs:../shared/one.txt', actions: ['write'] },
    ])
  })

  test('says what it cannot see: files and hosts that a plugin reaches inline', async () => {
    const code = pluginCode({ start: 'void [fs, net]' }, "import fs from 'node:fs'\nimport net from 'net'\nimport 'node:child_process'")
    const files = { resource: 'fs:data', actions: ['read', 'write'] }
    const host = { resource: 'net:api.example.com', actions: ['connect'] }
    const permissions = [files, host, { resource: 'env:HOME', actions: ['read'] }]
    const { kernel } = await startedWith(
      {
        raw: { manifest: { permissions }, code },
        apart: { manifest: { permissions, isolation: 'process' }, code },
        inline: { manifest: { permissions, isolation: 'inline' }, code },
      },
      { learn: true },
    )
    const raw = await learnedOf(kernel, 'raw')
    expect(raw.least).toEqual([OWN_FOLDER, { resource: 'child', actions: ['use'] }])
    expect(raw.notes).not.toContainEqual(expect.stringMatching(/files|hosts/))
    const apart = await learnedOf(kernel, 'apart')
    expect(apart.least).toEqual([{ resource: 'child', actions: ['use'] }])
    expect(apart.notes).not.toContainEqual(expect.stringContaining('files'))
    const inline = await learnedOf(kernel, 'inline')
    expect(inline.least).toEqual([files, host, { resource: 'child', actions: ['use'] }])
    expect(inline.notes).toContainEqual(expect.stringMatching(/runs inline.* of files and hosts is kept/))
  })

  test('keeps what packages may use that a plugin imports', async () => {
    const permissions = [
      { resource: 'env:*', actions: ['read'] },
      { resource: 'addons', actions: ['use'] },
    ]
    const { kernel } = await startedWith(
      {
        user: {
          manifest: { permissions },
          code: pluginCode({ start: "if (process.env.NEVER) await import('a-package')" }),
        },
      },
      { learn: true },
    )
    const { least, notes } = await learnedOf(kernel, 'user')
    expect(least).toEqual(permissions)
    expect(notes).toContainEqual(expect.stringContaining('(a-package)'))
  })

  test('opens nothing: what is said of a kind that would be free without it stays, where none of it was used', async () => {
    const permissions = [
      { resource: 'bus:a', actions: ['publish'] },
      { resource: 'net:b', actions: ['connect'] },
    ]
    const { kernel } = await startedWith({ still: { manifest: { permissions }, code: pluginCode({ start: '' }) } }, { learn: true })
    const { least, notes } = await learnedOf(kernel, 'still')
    expect(least).toEqual([{ resource: 'bus:a', actions: ['publish'] }])
    expect(notes).toEqual([
      expect.stringMatching(/nothing on the bus: .* kept/) as string,
      expect.stringMatching(/no service: all is free/) as string,
    ])
  })

  test('says of what is more than a manifest may have that it is to be gathered', async () => {
    const { kernel } = await startedWith(
      { many: pluginCode({ start: "for (let i = 0; i < 1_001; i++) ctx.bus.subscribe('each.' + i, () => {})" }) },
      { learn: true },
    )
    await eventually(() => expect(kernel.bus.subscriptionsOf('many')).toHaveLength(1_001))
    const { least, notes } = await learnedOf(kernel, 'many')
    expect(least).toHaveLength(1_001)
    expect(notes).toContainEqual(expect.stringContaining('more than the 1000 actions'))
  })

  test('looks into no code that is longer than any that a person writes, and says so', async () => {
    const long = `export const a = process.env.UNSEEN // ${'x'.repeat(1_048_576)}`
    const { kernel, folder } = await kernelWith(
      { long: { code: `import './long.js'\n${pluginCode({ start: 'if (!ctx) process.env.SEEN' })}` } },
      { learn: true },
    )
    writeFileSync(join(folder, 'long/long.js'), long)
    await kernel.start()
    const { least, notes } = await learnedOf(kernel, 'long')
    expect(least.map(({ resource }) => resource)).toContain('env:SEEN')
    expect(notes).toContainEqual(expect.stringMatching(/not looked into \(.*long\.js: it has \d+ bytes/))
  })

  test('gives no more methods of a service that was found and not called than there were', async () => {
    const permissions = [
      { resource: 'service:users', actions: ['call:find', 'provide'] },
      { resource: 'service:others', actions: ['call'] },
    ]
    const { kernel } = await kernelWith(
      {
        finder: {
          manifest: { permissions },
          code: pluginCode({ start: "await ctx.services.use('users'); await ctx.services.use('more')" }),
        },
      },
      { learn: true },
    )
    for (const name of ['users', 'more']) kernel.services.provide(name, { find: () => 1, remove: () => 2 })
    await kernel.start()
    expect((await learnedOf(kernel, 'finder')).least).toEqual([
      { resource: 'service:more', actions: ['call'] },
      { resource: 'service:users', actions: ['call:find'] },
    ])
  })

  test('is told of in the log, and is off unless it is asked for', async () => {
    const { kernel, lines } = await startedWith({ quiet: pluginCode({ start: "await ctx.bus.publish('a')" }) }, { learn: true })
    expect(lines).toContainEqual(expect.objectContaining({ level: 'warn', message: expect.stringContaining('not enforced') as string }))
    expect(await kernel.learned()).toHaveLength(1)
    const other = await startedWith({ quiet: pluginCode({ start: "await ctx.bus.publish('a')" }) })
    expect(await other.kernel.learned()).toEqual([])
  })
})
