/** `plugbay dev` and `plugbay start` as real processes: boot, run, replace, stop. */
import { writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderWith, plugbay, pluginsWith, run } from '../../support/command.js'
import { save } from '../../support/save.js'

const plugin = (body: string): string => `export default { ${body} }`

const noisy = (name: string): string => plugin(`start() { console.log('${name} is up') }, stop() { console.log('${name} is down') }`)

const chain = (): string =>
  folderWith({
    ...pluginsWith({ database: {}, users: { dependencies: { database: '*' } } }),
    'plugins/database/index.js': noisy('database'),
    'plugins/users/index.js': noisy('users'),
  })

describe.each(['start', 'dev'])('plugbay %s', (command) => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    'prints the boot tree, keeps running, and on %s stops in reverse order and exits 0',
    async (signal) => {
      const { child, says, output, ended } = run([command], chain())
      await says(/plugbay 2 plugins running, in /)
      expect(output()).toMatch(/wave 1\n└─ ● database 1\.0\.0 thread .*\nwave 2\n└─ ● users {4}1\.0\.0 thread /)
      expect(child.exitCode).toBeNull()
      child.kill(signal)
      expect(await ended).toEqual({ code: 0, signal: null })
      expect(output()).toContain(`${signal}: stopping`)
      expect(output()).toMatch(/users is down[\s\S]*database is down[\s\S]*stopped in /)
    },
  )

  test('leaves out a plugin that does not start, and runs the rest', async () => {
    const folder = folderWith({
      ...pluginsWith({ good: {}, bad: {} }),
      'plugins/good/index.js': noisy('good'),
      'plugins/bad/index.js': plugin(`start() { throw new Error('no port') }`),
    })
    const { child, says, ended } = run([command], folder)
    await says(/plugbay 1 plugin running, 1 failed/)
    await says(/PLUGIN_START .*'bad'.*no port/)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0 })
  })

  test('exits 1 with the reason when the boot fails', async () => {
    const folder = folderWith({
      ...pluginsWith({ vital: { onFailure: 'abort' } }),
      'plugins/vital/index.js': plugin(`start() { throw new Error('no port') }`),
    })
    const { code, stderr } = await plugbay([command], folder)
    expect(stderr).toMatch(/BOOT_FAILED .*'vital'/)
    expect(code).toBe(1)
  })

  test.each([
    [{ plugins: './plugin' }, /OPTIONS_INVALID plugins names \/.*\/plugin, which is not there\. Did you mean 'plugins'\?\n$/],
    [
      { plugins: './plugins', configDir: './cnof' },
      /OPTIONS_INVALID configDir names \/.*\/cnof, which is not there\. Did you mean 'conf'\?\n$/,
    ],
  ])('exits 1 where %j is not there', async (options, says) => {
    const folder = folderWith({ ...pluginsWith({ one: {} }), 'conf/.keep': '', 'plugbay.config.json': options })
    const { code, stdout, stderr } = await plugbay([command], folder)
    expect(stderr).toMatch(says)
    expect(stdout).toBe('')
    expect(code).toBe(1)
  })

  test('exits 1 when the configuration cannot be read', async () => {
    const { code, stderr } = await plugbay([command], folderWith({ 'plugbay.config.json': '{' }))
    expect(stderr).toContain('OPTIONS_INVALID')
    expect(code).toBe(1)
  })
})

describe('plugbay start', () => {
  test('stops in order when it is told to while it still boots', async () => {
    const folder = folderWith({
      ...pluginsWith({ first: {}, slow: { dependencies: { first: '*' } } }),
      'plugins/first/index.js': noisy('first'),
      'plugins/slow/index.js': plugin(
        `async start(ctx) { console.log('slow begins'); await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve)) }`,
      ),
    })
    const { child, says, output, ended } = run(['start'], folder)
    await says('slow begins')
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 0, signal: null })
    expect(output()).toContain('first is down')
  })

  test('ends at once on a second signal, by that signal', async () => {
    const folder = folderWith({
      ...pluginsWith({ stuck: { limits: { stopTimeout: 60_000 } } }),
      'plugins/stuck/index.js': plugin(`stop() { console.log('stuck in stop'); return new Promise(() => {}) }`),
    })
    const { child, says, ended } = run(['start'], folder)
    await says('plugbay 1 plugin running')
    child.kill('SIGINT')
    await says('stuck in stop')
    child.kill('SIGINT')
    expect(await ended).toEqual({ code: null, signal: 'SIGINT' })
  })

  test('does not watch files unless the configuration says so', async () => {
    const folder = folderWith({
      ...pluginsWith({ one: {} }),
      'plugins/one/index.js': plugin(`start() { console.log('version 1') }`),
      'plugbay.config.json': { plugins: './plugins', watch: true },
    })
    const { child, says, ended } = run(['start'], folder)
    await says('plugbay 1 plugin running')
    save({ folder }, { 'plugins/one/index.js': plugin(`start() { console.log('version 2') }`) })
    await says('version 2')
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0 })
  })
})

describe('plugbay dev', () => {
  test('replaces a plugin when its file is saved, in place or atomically, and says so on one line', async () => {
    const folder = folderWith({ ...pluginsWith({ one: {} }), 'plugins/one/index.js': plugin(`start() { console.log('version 1') }`) })
    const { child, says, output, ended } = run(['dev'], folder)
    await says('plugbay 1 plugin running')
    writeFileSync(join(folder, 'plugins/one/index.js'), plugin(`start() { console.log('version 2') }`))
    await says('version 2')
    save({ folder }, { 'plugins/one/index.js': plugin(`start() { console.log('version 3') }`) })
    await says('version 3')
    await says(/^.*Replaced generation 2 by 3.*$/m)
    expect(output().match(/version 2/g)).toHaveLength(1)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0 })
  })

  test('keeps the old generation when a file is broken, and takes the mended one', async () => {
    const folder = folderWith({ ...pluginsWith({ one: {} }), 'plugins/one/index.js': noisy('one') })
    const { child, says, ended } = run(['dev'], folder)
    await says('plugbay 1 plugin running')
    save({ folder }, { 'plugins/one/index.js': 'export default {' })
    await says('PLUGIN_LOAD')
    save({ folder }, { 'plugins/one/index.js': plugin(`start() { console.log('mended') }`) })
    await says('mended')
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0 })
  })

  test('says of a plugin that crashed that it was restarted, in which generation and why; of one that is saved, that it was replaced', async () => {
    // Once it serves: what falls before that is no restart.
    const falling = plugin(
      `start(ctx) { ctx.bus.subscribe('kernel.plugin.replaced', () => void setTimeout(() => { throw new Error('fell') })) }`,
    )
    const folder = folderWith({
      ...pluginsWith({ one: {}, two: {} }),
      'plugins/one/index.js': plugin('start() {}'),
      'plugins/two/index.js': plugin('start() {}'),
    })
    const { child, says, output, ended } = run(['dev'], folder)
    await says('plugbay 2 plugins running')
    save({ folder }, { 'plugins/two/index.js': plugin('start() { }') })
    await says(/INFO {2}two#2 Replaced generation 1 by 2 in [\d.]+ ms: file change\.$/m)
    save({ folder }, { 'plugins/one/index.js': falling })
    await says(
      /INFO {2}one#3 Restarted after a crash of generation 2, as generation 3 in [\d.]+ ms\. The crash: Plugin 'one' crashed .*: fell\./m,
    )
    expect(output()).not.toMatch(/Came in|Runs again/)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0 })
  })

  test('says in one line each what came in, left, was mended, stopped for another, or was configured, and that saved options take a restart', async () => {
    const folder = folderWith({
      ...pluginsWith({ base: {}, user: { dependencies: { base: '*' } }, broken: {} }),
      'plugins/base/index.js': noisy('base'),
      'plugins/user/index.js': plugin('start() {}, updateConfig() {}'),
      'plugins/broken/index.js': plugin(`start() { throw new Error('no port') }`),
      'conf/user.yaml': 'greeting: hi',
      'aside/.keep': '',
      'plugbay.config.json': { plugins: './plugins', configDir: './conf' },
    })
    const { child, says, output, ended } = run(['dev'], folder)
    await says('plugbay 2 plugins running, 1 failed')
    expect(output()).not.toMatch(/Came in|Runs again/)
    save({ folder }, { 'plugins/broken/index.js': plugin('start() {}') })
    await says(/INFO {2}broken#2 Runs again\.$/m)
    save({ folder }, { 'plugins/late.mjs': plugin('start() {}') })
    await says(/INFO {2}late#1 Came in, and runs\.$/m)
    await rename(join(folder, 'plugins/base'), join(folder, 'aside/base'))
    await says(/INFO {2}user#1 Stopped: 'base' was unloaded\.$/m)
    await says(/INFO {2}base#1 Left\.$/m)
    await rename(join(folder, 'aside/base'), join(folder, 'plugins/base'))
    await says(/INFO {2}base#1 Came in, and runs\.$/m)
    await says(/INFO {2}user#2 Runs again\.$/m)
    save({ folder }, { 'conf/user.yaml': 'greeting: hello' })
    await says(/INFO {2}user#2 Took its new configuration as it runs\.$/m)
    save({ folder }, { 'plugins/late.mjs': plugin('start() { }') })
    await says(/late#2 Replaced generation 1 by 2/)
    save({ folder }, { 'plugbay.config.json': { plugins: './plugins', configDir: './conf', maxConcurrency: 3 } })
    await says(/WARN {2}kernel plugbay\.config\.json was saved\. .*restart/)
    expect(output()).not.toMatch(/late#2 (Runs|Came)|late#1 Stopped/)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0 })
    expect(output()).not.toContain('the kernel stops')
  }, 60_000)

  test('opens an inspector for one plugin, and for the next generation of it at the same port', async () => {
    const folder = folderWith({
      ...pluginsWith({ one: {}, two: {} }),
      'plugins/one/index.js': noisy('one'),
      'plugins/two/index.js': noisy('two'),
    })
    const { child, says, output, ended } = run(['dev', '--inspect=one:0'], folder)
    await says('plugbay 2 plugins running')
    await says(/one.* listens at ws:\/\/127\.0\.0\.1:\d+\//)
    save({ folder }, { 'plugins/one/index.js': plugin(`start() { console.log('saved') }`) })
    await says(/Replaced generation 1 by 2/)
    const ports = [...output().matchAll(/listens at ws:\/\/127\.0\.0\.1:(\d+)\//g)].map(([, port]) => port)
    expect(ports).toHaveLength(2)
    expect(new Set(ports).size).toBe(1)
    child.kill('SIGINT')
    expect(await ended).toEqual({ code: 0, signal: null })
  })

  test('waits for a debugger where it is told to, and still stops when it is told to', async () => {
    const folder = folderWith({ ...pluginsWith({ one: {} }), 'plugins/one/index.js': noisy('one') })
    const { child, says, output, ended } = run(['dev', '--inspect-brk=one:0'], folder)
    await says('It waits for a debugger before its first line.')
    child.kill('SIGINT')
    await ended
    expect(output()).not.toContain('one is up')
    expect(output()).toContain('stopped in')
  })

  test('says at once of a plugin that there is none to look into, and which there are', async () => {
    const { code, stdout, stderr } = await plugbay(['dev', '--inspect=another'], folderWith(pluginsWith({ one: {}, two: {} })))
    expect(stderr).toMatch("There is no plugin 'another'. There are: one, two.")
    expect(stdout).toBe('')
    expect(code).toBe(1)
  })

  test.each([
    [['dev', '--inspect=onne'], 1, /PLUGIN_UNKNOWN .*'onne'.*Did you mean 'one'/],
    [['dev', '--inspect=one:99999'], 2, /USAGE .*--inspect=orders:9230.*'one:99999'/],
    [['dev', '--inspect=one', '--inspect-brk=one'], 2, /USAGE/],
    [['start', '--inspect=one'], 2, /USAGE Unknown option/],
  ])('refuses %j', async (args, exit, text) => {
    const { code, stderr } = await plugbay(args, folderWith({ ...pluginsWith({ one: {} }), 'plugins/one/index.js': noisy('one') }))
    expect(stderr).toMatch(text)
    expect(code).toBe(exit)
  })
})
