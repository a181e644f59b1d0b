/** `plugbay new plugin`: what it makes is sound, and nothing is overwritten. */
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderWith, node, plugbay, root } from '../../support/command.js'

describe('plugbay new plugin', () => {
  test('makes a plugin that check finds nothing wrong with', async () => {
    const folder = folderWith()
    const made = await plugbay(['new', 'plugin', 'price-watch'], folder)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(made.stdout).toContain('Made plugins/price-watch')
    expect(made.stdout).toContain('npx plugbay dev')
    expect(readdirSync(join(folder, 'plugins/price-watch')).sort()).toEqual(['README.md', 'index.js', 'index.test.js', 'plugin.json'])
    expect(await plugbay(['check'], folder)).toMatchObject({ code: 0, stdout: expect.stringContaining('1 plugin in 1 wave') })
  })

  test('makes one in TypeScript, in another folder', async () => {
    const folder = folderWith({ 'plugbay.config.json': { plugins: './src/parts' } })
    expect(await plugbay(['new', 'plugin', 'users.v2', '--ts', '--dir', 'src/parts'], folder)).toMatchObject({ code: 0 })
    expect(readdirSync(join(folder, 'src/parts/users.v2')).sort()).toEqual(['README.md', 'index.test.js', 'index.ts', 'plugin.json'])
    expect(await plugbay(['check'], folder)).toMatchObject({ code: 0, stdout: expect.stringContaining('1 plugin in 1 wave') })
  })

  test.each([
    ['extra', {}, '"plugins": ["./plugins", "./extra"]'],
    ['src/more', { 'plugbay.config.json': { plugins: ['./a', './b'] } }, '"plugins": ["./a", "./b", "./src/more"]'],
    ['b', { 'plugbay.config.json': { plugins: ['./a', './b'] } }, undefined],
    ['./plugins', {}, undefined],
  ])('in the folder %s of a project with %j says how it is loaded, if it is not', async (dir, files, says) => {
    const { code, stdout } = await plugbay(['new', 'plugin', 'other', '--dir', dir], folderWith(files))
    expect(code).toBe(0)
    if (says === undefined) expect(stdout).not.toContain('Nothing is loaded')
    else
      expect(stdout).toContain(
        `Nothing is loaded from ${dir} yet: name that folder in plugbay.config.json (or .yaml, .js, .ts):\n  ${says}`,
      )
  })

  test.each([
    ['as a dependency', (folder: string) => symlinkSync(root, join(folder, 'node_modules/plugbay')), { 'node_modules/.keep': '' }],
    ['nowhere yet', () => {}, {}],
  ])('points the editor to the schema where plugbay is installed %s', async (_where, install, files) => {
    const folder = folderWith(files)
    install(folder)
    await plugbay(['new', 'plugin', 'a'], folder)
    const file = join(folder, 'plugins/a/plugin.json')
    const { $schema } = JSON.parse(readFileSync(file, 'utf8')) as { $schema: string }
    expect($schema).toBe('../../node_modules/plugbay/schemas/plugin.schema.json')
    expect(existsSync(resolve(dirname(file), $schema))).toBe('node_modules/.keep' in files)
  })

  test.each([
    ['vitest', { devDependencies: { vitest: '^4.0.0' } }, "from 'vitest'", 'npx vitest run plugins/a'],
    ['node:test', { name: 'app' }, "from 'node:test'", 'node --test plugins/a/index.test.js'],
  ])('writes the test for %s where the project uses it', async (_runner, packageFile, imports, next) => {
    const folder = folderWith({ 'package.json': packageFile })
    const { stdout } = await plugbay(['new', 'plugin', 'a'], folder)
    expect(readFileSync(join(folder, 'plugins/a/index.test.js'), 'utf8')).toContain(imports)
    expect(stdout).toContain(next)
  })

  test('in a folder with a space in its name says a command that runs the test', async () => {
    const folder = folderWith({ 'package.json': { name: 'app' } })
    const { stdout } = await plugbay(['new', 'plugin', 'a', '--dir', 'my plugins'], folder)
    expect(stdout).toContain('node --test "my plugins/a/index.test.js"')
    expect(stdout).toContain('"plugins": ["./plugins", "./my plugins"]')
  })

  test('in a folder that lies elsewhere names it as it was given', async () => {
    const elsewhere = folderWith({})
    const { stdout } = await plugbay(['new', 'plugin', 'a', '--dir', elsewhere], folderWith({ 'package.json': { name: 'app' } }))
    expect(stdout).toContain(`Made ${elsewhere}/a`)
    expect(stdout).toContain(`node --test ${elsewhere}/a/index.test.js`)
    expect(stdout).toContain(`"plugins": ["./plugins", "${elsewhere}"]`)
  })

  test('overwrites nothing', async () => {
    const folder = folderWith({ 'plugins/mine/notes.txt': 'precious' })
    const { code, stderr } = await plugbay(['new', 'plugin', 'mine'], folder)
    expect(code).toBe(1)
    expect(stderr).toContain('PLUGIN_DUPLICATE plugins/mine is there already')
    expect(readdirSync(join(folder, 'plugins/mine'))).toEqual(['notes.txt'])
  })

  test.each([
    ['Price Watch', 'plugbay new plugin price-watch'],
    ['priceWatch', 'plugbay new plugin price-watch'],
    ['../../etc', 'plugbay new plugin etc'],
    ['a'.repeat(129), 'is no plugin name'],
    ['--', "Missing required argument 'name'"],
    ['', 'is no plugin name'],
    ['node_modules', "cannot be named 'node_modules'"],
    ['plugbay', "cannot be named 'plugbay': that is the kernel's own name"],
    ['kernel', "cannot be named 'kernel': that is the kernel's own name"],
  ])('refuses the name %j and says what would do', async (name, says) => {
    const folder = folderWith()
    const { code, stderr } = await plugbay(['new', 'plugin', name], folder)
    expect(stderr).toContain(says)
    expect(code).toBe(2)
    expect(readdirSync(folder)).toEqual([])
  })
})

test('a new plugin cannot have the name that the configuration gives the kernel', async () => {
  const folder = folderWith({ 'plugbay.config.json': { name: 'shop' } })
  const { code, stderr } = await plugbay(['new', 'plugin', 'shop'], folder)
  expect(stderr).toContain("cannot be named 'shop'")
  expect(code).toBe(2)
  expect(readdirSync(folder)).toEqual(['plugbay.config.json'])
})

describe('a new plugin', () => {
  /** An app in which plugbay is installed. */
  const app = () => {
    const folder = folderWith({ 'package.json': { name: 'app', type: 'module' }, 'node_modules/.keep': '' })
    symlinkSync(root, join(folder, 'node_modules/plugbay'))
    return folder
  }

  test.each([
    [[], undefined],
    [['--ts'], undefined],
    [[], 'commonjs'],
    [['--ts'], 'commonjs'],
  ])('runs at once in a real kernel, in its own thread (%j, "type": %s)', async (flags, type) => {
    const folder = app()
    if (type !== undefined) writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', type }))
    await plugbay(['new', 'plugin', 'price-watch', ...flags], folder)
    const program = `
      import { createKernel } from 'plugbay'
      const kernel = await createKernel({ plugins: './plugins', config: { 'price-watch': { greeting: 'Good morning' } } })
      const report = await kernel.start()
      const greeted = new Promise((resolve) => kernel.bus.subscribe('price-watch.greeted', (event) => resolve(event)))
      await kernel.bus.publish('price-watch.hello', { name: 'Ada' })
      const { source, data } = await greeted
      const service = await kernel.services.use('price-watch', { range: '^0.1.0' })
      const answer = await service.greet('Bob')
      await kernel.stop()
      console.log(JSON.stringify({ isolation: report.plugins[0].isolation, state: report.plugins[0].state, source, data, answer }))
    `
    const { code, stdout, stderr } = await node(['--input-type=module', '--eval', program], folder)
    expect(stderr).not.toContain('ERROR')
    expect(JSON.parse(stdout)).toEqual({
      isolation: 'thread',
      state: 'running',
      source: 'price-watch',
      data: { text: 'Good morning, Ada!' },
      answer: 'Good morning, Bob!',
    })
    expect(code).toBe(0)
  })

  test.each([
    [[], 'module', 'index.test.js'],
    [['--ts'], 'module', 'index.test.js'],
    [[], 'commonjs', 'index.test.mjs'],
  ])('passes its own test (%j, "type": %s)', async (flags, type, file) => {
    const folder = app()
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', type }))
    await plugbay(['new', 'plugin', 'price-watch', ...flags], folder)
    const { code, stdout } = await node(['--test', '--test-reporter=tap', `plugins/price-watch/${file}`], folder, {
      NODE_TEST_CONTEXT: undefined,
    })
    expect(stdout).toMatch(/^# pass 2$/m)
    expect(stdout).toMatch(/^# fail 0$/m)
    expect(code).toBe(0)
  })

  test('in TypeScript type-checks, with the types of its own events and service', async () => {
    const folder = app()
    await plugbay(['new', 'plugin', 'price-watch', '--ts'], folder)
    const use = `
      import { createKernel } from 'plugbay'
      import './plugins/price-watch/index.ts'
      const kernel = await createKernel()
      kernel.bus.subscribe('price-watch.greeted', (event) => event.data.text.toUpperCase())
      // @ts-expect-error the event has no such field
      kernel.bus.subscribe('price-watch.greeted', (event) => event.data.txt)
    `
    writeFileSync(join(folder, 'use.ts'), use)
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--allowImportingTsExtensions', '--skipLibCheck']
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')]
    for (const file of ['plugins/price-watch/index.ts', 'use.ts']) {
      const { code, stdout } = await node([join(root, 'node_modules/typescript/bin/tsc'), ...options, ...types, file], folder)
      expect(stdout).toBe('')
      expect(code).toBe(0)
    }
  })
})
