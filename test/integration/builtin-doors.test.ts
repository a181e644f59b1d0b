/** Modules of Node that were granted, and what they reach past `node:fs`. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { emptyFolder, pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

/** What the body answers in a plugin that may read and write its data folder, and import that module; a refusal as its code. */
const tried = async (module: string, body: string): Promise<unknown> => {
  const { kernel, folder } = await startedWith({})
  const path = writePlugin(folder, 'curious', {
    code: pluginCode(
      {
        start: `await ctx.services.provide('curious', { answer: async () => { try { return await (async () => { ${body} })() } catch (error) { return error.code } } })`,
      },
      `import * as module from 'node:${module}'`,
    ),
    manifest: {
      permissions: [
        { resource: `builtin:${module}`, actions: ['import'] },
        { resource: 'fs:data', actions: ['read', 'write'] },
      ],
    },
  })
  await kernel.load(path)
  return (await kernel.services.use('curious', { timeout: 15_000 }))['answer']?.()
}

/** The text of `secret.txt` in the folder that is opened to it. */
const WASI = (made: string): string => `
  const w = ${made}
  const memory = new WebAssembly.Memory({ initial: 1 })
  w.initialize({ exports: { memory } })
  const bytes = new Uint8Array(memory.buffer), view = new DataView(memory.buffer), name = 'secret.txt'
  for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i)
  w.wasiImport.path_open(3, 0, 0, name.length, 0, 2n, 0n, 0, 100)
  view.setUint32(200, 300, true)
  view.setUint32(204, 50, true)
  w.wasiImport.fd_read(view.getUint32(100, true), 200, 1, 400)
  return new TextDecoder().decode(bytes.slice(300, 300 + view.getUint32(400, true)))`

const outside = (): string => {
  const folder = emptyFolder()
  writeFileSync(join(folder, 'secret.txt'), 'secret')
  return JSON.stringify(folder)
}

it('a program of WebAssembly gets no folder that its plugin was not granted', async () => {
  const folder = outside()
  const options = `{ version: 'preview1', preopens: { '/x': ${folder} } }`
  expect(await tried('wasi', WASI(`new module.WASI(${options})`))).toBe('PERMISSION_DENIED')
  expect(await tried('wasi', WASI(`new (class extends module.WASI {})(${options})`))).toBe('PERMISSION_DENIED')
  expect(await tried('wasi', WASI(`new (new module.WASI({ version: 'preview1' }).constructor)(${options})`))).toBe('PERMISSION_DENIED')
  const said = `{ version: 'preview1', preopens: { '/x': { toString: () => (globalThis.said = !globalThis.said) ? module.data : ${folder} } } }`
  expect(await tried('wasi', `return typeof new module.WASI({ version: 'preview1' }).wasiImport.constructor`)).toBe('undefined')
  expect(await tried('wasi', `module.data; ${WASI(`new module.WASI(${said.replace('module.data', 'ctx.dataDir')})`)}`)).toBe('')
})

it('a program of WebAssembly gets a folder that its plugin may read and write', async () => {
  const write = "process.getBuiltinModule('node:fs').writeFileSync(ctx.dataDir + '/secret.txt', 'own');"
  expect(await tried('wasi', write + WASI("new module.WASI({ version: 'preview1', preopens: { '/x': ctx.dataDir } })"))).toBe('own')
})

it('a snapshot of the heap is written where the plugin may write', async () => {
  const folder = emptyFolder()
  expect(await tried('v8', `return module.writeHeapSnapshot(${JSON.stringify(join(folder, 'heap'))})`)).toBe('PERMISSION_DENIED')
  expect(await tried('v8', 'return module.writeHeapSnapshot()')).toBe('PERMISSION_DENIED')
  expect(await tried('v8', 'return module.setHeapSnapshotNearHeapLimit(1)')).toBe('PERMISSION_DENIED')
  expect(existsSync(join(folder, 'heap'))).toBe(false)
})

it('an engine of OpenSSL needs the permission for addons', async () => {
  expect(
    await tried(
      'crypto',
      "return 'setEngine' in module ? module.setEngine('/nowhere/engine.so') : Promise.reject(Object.assign(new Error(), { code: 'PERMISSION_DENIED' }))",
    ),
  ).toBe('PERMISSION_DENIED')
})

it.each(['thread', 'process'])('a native addon is loaded where that is granted (%s)', async (isolation) => {
  // What is no addon at all is refused by the system, and not before.
  const load =
    "try { process.dlopen({ exports: {} }, new URL('./plugin.json', import.meta.url).pathname) } catch (error) { return error.code }"
  const code = pluginCode({ start: `await ctx.services.provide(ctx.name, { load: () => { ${load} } })` })
  const { kernel } = await startedWith({
    granted: { code, manifest: { isolation, permissions: [{ resource: 'addons', actions: ['use'] }] } },
    refused: { code, manifest: { isolation } },
  })
  await expect((await kernel.services.use('granted'))['load']?.()).resolves.toBe('ERR_DLOPEN_FAILED')
  await expect((await kernel.services.use('refused'))['load']?.()).resolves.toBe('PERMISSION_DENIED')
})
