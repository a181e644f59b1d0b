/** A plugin whose data folder cannot be made: what is in the way, and what to do. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { emptyFolder, kernelWith, pluginCode } from '../support/plugin-folder.js'

const RUNS = { p: pluginCode({ start: '' }) }

const faultIn = async (dataDir: string, isolation: 'inline' | 'thread' | 'process') => {
  const { kernel } = await kernelWith(RUNS, { dataDir, defaults: { isolation } })
  const error = (await kernel.start()).plugins[0]?.error
  return { code: error?.code, message: error?.message.replaceAll(dataDir, '…') }
}

it.each(['inline', 'thread', 'process'] as const)('a file in the place of dataDir (%s)', async (isolation) => {
  const dataDir = join(emptyFolder(), 'data')
  writeFileSync(dataDir, '')
  expect(await faultIn(dataDir, isolation)).toEqual({
    code: 'DATA_FOLDER',
    message: "Plugin 'p' cannot have its data folder …/p: … is no folder. Remove it, or name another folder with the option dataDir.",
  })
})

it("a file in the place of the plugin's own folder", async () => {
  const dataDir = emptyFolder()
  writeFileSync(join(dataDir, 'p'), '')
  expect(await faultIn(dataDir, 'thread')).toMatchObject({
    code: 'DATA_FOLDER',
    message: expect.stringContaining('…/p is no folder. Remove it,') as string,
  })
})

// Nothing is closed to root.
it.skipIf(process.getuid?.() === 0 || process.platform === 'win32')('a folder that may not be written to', async () => {
  const dataDir = join(emptyFolder(), 'closed')
  mkdirSync(dataDir)
  chmodSync(dataDir, 0o500)
  expect(await faultIn(dataDir, 'thread')).toMatchObject({
    code: 'DATA_FOLDER',
    message: expect.stringContaining('this process may not write there (EACCES). Name a folder that can be written to') as string,
  })
})

it('a process that may not write, under the permission model of Node', () => {
  const folder = emptyFolder()
  writeFileSync(join(folder, 'p.js'), RUNS.p)
  const entry = fileURLToPath(new URL('../../dist/index.js', import.meta.url))
  const app = join(folder, 'app.mjs')
  writeFileSync(
    app,
    `import { createKernel } from ${JSON.stringify(entry)}
    const kernel = await createKernel({ plugins: './p.js', defaults: { isolation: 'inline' }, logger: { debug() {}, info() {}, warn() {}, error() {} } })
    const [{ error }] = (await kernel.start()).plugins
    console.log(error.code, error.message)
    await kernel.stop()`,
  )
  const flag = process.version.startsWith('v20.') ? '--experimental-permission' : '--permission'
  const { stdout, stderr } = spawnSync(process.execPath, [flag, '--allow-fs-read=*', '--allow-worker', app], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect(stdout, stderr).toBe(
    `DATA_FOLDER Plugin 'p' cannot have its data folder ${join(folder, 'data', 'p')}: Node's permission model keeps this process from it. ` +
      'Name a folder that can be written to with the option dataDir, and start Node with --allow-fs-write for it.\n',
  )
})
