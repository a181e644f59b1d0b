/** A plugin imports packages of its workspace, which installers only link into `node_modules`. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { KernelOptions } from 'plugbay'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { infoOf, kernelWith, type PluginFiles, pluginCode, type Running, writePlugin } from '../support/plugin-folder.js'
import { save } from '../support/save.js'

const LINKS: Record<string, Record<string, string>> = {
  'at the root, as by npm': {
    'node_modules/@acme/app': 'app',
    'node_modules/@acme/shared': 'packages/shared',
    'node_modules/@acme/words': 'packages/words',
  },
  "in the application's package, as by pnpm": {
    'app/node_modules/@acme/shared': 'packages/shared',
    'packages/shared/node_modules/@acme/words': 'packages/words',
  },
  "in the plugin's own package, as by pnpm": {
    'app/plugins/p/node_modules/@acme/shared': 'packages/shared',
    'packages/shared/node_modules/@acme/words': 'packages/words',
  },
}

const link = (folder: string, links: Record<string, string> = {}): void => {
  for (const [path, target] of Object.entries(links)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    const to = process.platform === 'win32' ? join(folder, target) : relative(dirname(path), target)
    symlinkSync(to, join(folder, path), 'junction')
  }
}

const IMPORTING = pluginCode(
  { start: "await ctx.services.provide('greeting', { greet: () => greeting, task: () => ctx.tasks.run('greet') })" },
  "import { greeting } from '@acme/shared'",
)

/** A workspace with an application in `app` that has the plugin `p`, and two packages, one of which needs the other. */
const workspace = async (links: Record<string, string> | undefined, plugin: PluginFiles, options: KernelOptions = {}): Promise<Running> => {
  const running = await kernelWith({}, { plugins: 'app/plugins', ...options })
  const { folder } = running
  save(running, {
    'package.json': { private: true, workspaces: ['packages/*', 'app'] },
    'app/package.json': { name: '@acme/app', type: 'module' },
    'app/secret.js': 'export const secret = 1',
    'packages/shared/package.json': { name: '@acme/shared', type: 'module', exports: { '.': { import: './src/index.js' } } },
    'packages/shared/src/index.js': "import words from '@acme/words'\nexport const greeting = words.hello + ' world'",
    'packages/words/package.json': { name: '@acme/words' },
    'packages/words/index.js': "exports.hello = 'hello'",
  })
  writePlugin(join(folder, 'app/plugins'), 'p', plugin)
  link(folder, links)
  return running
}

const greets = async ({ kernel }: Running): Promise<unknown> => (await kernel.services.use('greeting'))['greet']?.()

const manifestOf = (isolation: string, ...more: string[]): Record<string, unknown> => ({
  isolation,
  permissions: more.map((path) => ({ resource: `fs:${path}`, actions: ['write'] })),
})

describe.each(['thread', 'process'])('a plugin in a %s', (isolation) => {
  it.each(Object.entries(LINKS))('imports packages of its workspace, and what these import, linked %s', async (_where, links) => {
    const running = await workspace(links, { manifest: manifestOf(isolation), code: IMPORTING })
    await running.kernel.start()
    expect(infoOf(running.kernel, 'p').lastError).toBeUndefined()
    await expect(greets(running)).resolves.toBe('hello world')
  })

  it.each([
    ['a link in a folder that it may write', IMPORTING, ['.'], { 'app/plugins/p/node_modules/@acme/shared': 'packages/shared' }],
    ['what its application keeps', "import '@acme/app/secret.js'\nexport default { start() {} }", [], LINKS['at the root, as by npm']],
    [
      'a folder that is no package',
      "import '@acme/none'\nexport default { start() {} }",
      [],
      { 'app/plugins/p/node_modules/@acme/none': 'packages/words/none' },
    ],
  ])('is refused %s, and told what would allow it', async (_what, code, writes, links) => {
    const running = await workspace(undefined, { manifest: manifestOf(isolation, ...writes), code })
    const { kernel, folder } = running
    save(running, { 'packages/words/none/index.js': '' })
    link(folder, links)
    await kernel.start()
    const { state, lastError } = infoOf(kernel, 'p')
    expect(state).toBe('failed')
    expect(lastError?.message).toMatch(/(?:may not read|is a link to) .*(?:shared|app|none).*"resource": "fs:/)
  })
})

it.each(['thread', 'process'])('no permission is learnt for packages of the workspace (%s)', async (isolation) => {
  const running = await workspace(LINKS['at the root, as by npm'], { manifest: { isolation }, code: IMPORTING }, { learn: true })
  await running.kernel.start()
  await expect(greets(running)).resolves.toBe('hello world')
  const [learned] = await running.kernel.learned()
  expect(learned?.least).toEqual([{ resource: 'service:greeting', actions: ['provide'] }])
})

it('tasks import packages of the workspace', async () => {
  const running = await workspace(LINKS["in the plugin's own package, as by pnpm"], {
    manifest: { tasks: { greet: { file: 'greet.js' } } },
    code: IMPORTING,
  })
  save(running, { 'app/plugins/p/greet.js': "import { greeting } from '@acme/shared'\nexport default () => greeting" })
  await running.kernel.start()
  await expect((await running.kernel.services.use('greeting'))['task']?.()).resolves.toBe('hello world')
})

it.each(Object.entries(LINKS))(
  'a plugin is replaced when a package of its workspace is saved that it imports, linked %s',
  async (_where, links) => {
    const running = await workspace(links, { code: IMPORTING }, { watch: true })
    await running.kernel.start()
    save(running, { 'packages/words/index.js': "exports.hello = 'good morning'" })
    await eventually(async () => expect(await greets(running)).toBe('good morning world'))
    save(running, { 'packages/shared/src/index.js': "export { hello as greeting } from '@acme/words'" })
    await eventually(async () => expect(await greets(running)).toBe('good morning'))
  },
)
