import { createHook } from 'node:async_hooks'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FileAccess } from '#src/kernel/gateway/file-access.js'
import { entriesOf } from '#src/sandbox/folder-listing.js'
import type { KernelVerbs } from '#src/sandbox/protocol.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

/** There is room for any answer. */
const ROOMY = { grow: async () => {}, moves: () => {} }

const made = ({ listing, ...grants }: { read?: string[]; write?: string[]; listing?: number } = {}) => {
  const base = emptyFolder()
  const [root, dataDir, outside] = ['plugin', 'data', 'outside'].map((name) => join(base, name)) as [string, string, string]
  for (const folder of [root, dataDir, outside]) mkdirSync(folder)
  writeFileSync(join(root, 'index.js'), 'code')
  writeFileSync(join(outside, 'secret'), 'secret')
  const denials: string[] = []
  const absolute = (paths: string[] = []) => paths.map((path) => (path === '*' ? path : join(base, path)))
  const access = new FileAccess({
    plugin: 'p',
    root,
    dataDir,
    grants: { read: absolute(grants.read), write: absolute(grants.write) },
    denied: (resource, action) => denials.push(`${action} ${resource}`),
    ...(listing === undefined ? {} : { listing }),
  })
  const run = (request: KernelVerbs['file']['asks']): Promise<unknown> => access.run(request, ROOMY)
  const textOf = async (request: KernelVerbs['file']['asks']) => new TextDecoder().decode((await run(request)) as Uint8Array)
  const files = {
    run,
    text: (path: string) => textOf({ act: 'readFile', path }),
    list: async (path: string) => entriesOf(await textOf({ act: 'readdir', path })),
  }
  return { files, denials, root, dataDir, outside }
}

const denied = (action: 'read' | 'write') =>
  expect.objectContaining({ code: 'PERMISSION_DENIED', plugin: 'p', details: expect.objectContaining({ action }) as object }) as Error

it('a plugin reads and writes in its data folder, by relative paths', async () => {
  const { files, dataDir } = made()
  await files.run({ act: 'mkdir', path: 'a/b' })
  await files.run({ act: 'writeFile', path: 'a/b/c.txt', data: 'one' })
  await files.run({ act: 'appendFile', path: 'a/b/c.txt', data: new TextEncoder().encode(' two') })
  expect(readFileSync(join(dataDir, 'a/b/c.txt'), 'utf8')).toBe('one two')
  expect(await files.text('a/b/c.txt')).toBe('one two')
  expect(await files.run({ act: 'readFile', path: 'a/b/c.txt' })).toEqual(new TextEncoder().encode('one two'))
  expect(await files.list('a')).toEqual([{ name: 'b', kind: 'folder' }])
  expect(await files.run({ act: 'stat', path: 'a/b/c.txt' })).toMatchObject({ kind: 'file', size: 7, modified: expect.any(Date) as Date })
  await files.run({ act: 'rename', path: 'a/b/c.txt', to: 'd.txt' })
  await files.run({ act: 'rm', path: 'a' })
  expect(await files.list('.')).toEqual([{ name: 'd.txt', kind: 'file' }])
})

it.each(['writeFile', 'appendFile'] as const)('%s takes text and bytes, and nothing of which it would write each part', async (act) => {
  const { files, dataDir } = made()
  await files.run({ act, path: 'a', data: new DataView(new Uint8Array([65, 66]).buffer) as unknown as Uint8Array })
  expect(await files.text('a')).toBe('AB')
  for (const data of [['x'], new Set(['x']), { 0: 'x' }, 5, new Uint8Array(1).buffer]) {
    await expect(files.run({ act, path: 'b', data: data as unknown as string })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(
        /^fs\.(write|append)File\(\) was given .+ to write\. Give a text, or bytes as a Uint8Array\.$/,
      ) as string,
    })
  }
  expect(readdirSync(dataDir)).toEqual(['a'])
})

it('it reads its own folder, and does not write there', async () => {
  const { files, root, denials } = made()
  const file = join(root, 'index.js')
  expect(await files.text(file)).toBe('code')
  await expect(files.run({ act: 'writeFile', path: file, data: 'other' })).rejects.toEqual(denied('write'))
  expect(readFileSync(file, 'utf8')).toBe('code')
  expect(denials).toEqual([`write fs:${file}`])
})

it('what lies elsewhere is closed, whichever way it is named, and the error says what would open it', async () => {
  const { files, outside, dataDir } = made()
  const secret = join(outside, 'secret')
  for (const path of [secret, '../outside/secret', `${dataDir}/../outside/secret`, `${dataDir}x/y`, '/'])
    await expect(files.run({ act: 'stat', path })).rejects.toEqual(denied('read'))
  await expect(files.run({ act: 'readFile', path: secret })).rejects.toThrow(
    `Plugin 'p' may not read '${secret}': it may read its own folder and its data folder, and what its permissions name. To allow it, add { "resource": "fs:${secret}", "actions": ["read"] } to the permissions in its plugin.json`,
  )
  await expect(files.run({ act: 'writeFile', path: join(outside, 'new'), data: '' })).rejects.toEqual(denied('write'))
  await expect(files.run({ act: 'mkdir', path: join(outside, 'new/folder') })).rejects.toEqual(denied('write'))
  await expect(files.run({ act: 'rm', path: outside })).rejects.toEqual(denied('write'))
  expect(readFileSync(secret, 'utf8')).toBe('secret')
  expect(existsSync(join(outside, 'new'))).toBe(false)
})

it('a link in the data folder leads nowhere it may not go', async () => {
  const { files, outside, dataDir } = made()
  symlinkSync(outside, join(dataDir, 'out'))
  symlinkSync(join(outside, 'not-there-yet'), join(dataDir, 'dangling'))
  await expect(files.run({ act: 'readFile', path: 'out/secret' })).rejects.toThrow(`which leads to '${join(outside, 'secret')}'`)
  await expect(files.run({ act: 'writeFile', path: 'out/new', data: '' })).rejects.toEqual(denied('write'))
  await expect(files.run({ act: 'writeFile', path: 'dangling', data: '' })).rejects.toThrow('a link that leads nowhere')
  await expect(files.run({ act: 'rename', path: 'out/secret', to: 'mine' })).rejects.toEqual(denied('write'))
  await files.run({ act: 'writeFile', path: 'mine', data: 'x' })
  await expect(files.run({ act: 'rename', path: 'mine', to: 'out/mine' })).rejects.toEqual(denied('write'))
  // The link itself lies in the data folder: it goes, and what it led to stays.
  await files.run({ act: 'rm', path: 'out' })
  expect(existsSync(join(dataDir, 'out'))).toBe(false)
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret')
  expect(existsSync(join(outside, 'not-there-yet'))).toBe(false)
})

it('what is granted is open: for reading, for writing, or all', async () => {
  const reader = made({ read: ['outside'] })
  expect(await reader.files.text(join(reader.outside, 'secret'))).toBe('secret')
  await expect(reader.files.run({ act: 'writeFile', path: join(reader.outside, 'secret'), data: '' })).rejects.toEqual(denied('write'))
  const writer = made({ write: ['outside'] })
  await writer.files.run({ act: 'writeFile', path: join(writer.outside, 'new'), data: 'x' })
  await expect(writer.files.run({ act: 'readFile', path: join(writer.outside, 'new') })).rejects.toEqual(denied('read'))
  const all = made({ read: ['*'] })
  expect(await all.files.run({ act: 'stat', path: '/' })).toMatchObject({ kind: 'folder' })
})

it('errors of the file system keep their code, and a file that is too large is refused before it is read', async () => {
  const { files, dataDir } = made()
  await expect(files.run({ act: 'readFile', path: 'none' })).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(files.run({ act: 'readdir', path: 'none' })).rejects.toMatchObject({ code: 'ENOENT' })
  await files.run({ act: 'rm', path: 'none' })
  writeFileSync(join(dataDir, 'huge'), '')
  truncateSync(join(dataDir, 'huge'), 64 * 1_024 * 1_024 + 1)
  await expect(files.run({ act: 'readFile', path: 'huge' })).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', plugin: 'p' })
})

it('a path that no system has is refused before it is taken apart', async () => {
  const { files } = made()
  const path = 'a/'.repeat(2_049)
  const refusal = { code: 'PAYLOAD_TOO_LARGE', details: { size: 4_098, limit: 4_096 } }
  await expect(files.run({ act: 'readFile', path })).rejects.toMatchObject(refusal)
  await expect(files.run({ act: 'rename', path: 'a', to: path })).rejects.toMatchObject(refusal)
})

it('a folder is listed, sorted, up to so many bytes of names', async () => {
  const { files, dataDir } = made({ listing: 50_000 })
  mkdirSync(join(dataDir, 'sub/é 文'), { recursive: true })
  symlinkSync('nowhere', join(dataDir, 'sub/link'))
  for (const name of ['b', 'a']) writeFileSync(join(dataDir, 'sub', name), '')
  expect(await files.list('sub')).toEqual([
    { name: 'a', kind: 'file' },
    { name: 'b', kind: 'file' },
    { name: 'link', kind: 'other' },
    { name: 'é 文', kind: 'folder' },
  ])
  const long = 'x'.repeat(240)
  for (let at = 0; at < 250; at++) writeFileSync(join(dataDir, `${long}${at}`), '')
  await expect(files.list('.')).rejects.toMatchObject({
    code: 'PAYLOAD_TOO_LARGE',
    message:
      "Plugin 'p' may not list '.' at once: the names in it take more than 50000 bytes. Keep what is in it in several folders, or grant the plugin the module 'node:fs'.",
  })
})

it('a granted folder that is not there yet is made with all above it', async () => {
  const { files, dataDir } = made({ write: ['new/deep'] })
  const wanted = join(dataDir, '../new/deep/er/still')
  await files.run({ act: 'mkdir', path: wanted })
  await files.run({ act: 'mkdir', path: wanted })
  expect(readdirSync(join(dataDir, '../new/deep/er'))).toEqual(['still'])
  await files.run({ act: 'writeFile', path: 'file', data: '' })
  await expect(files.run({ act: 'mkdir', path: 'file' })).rejects.toMatchObject({ code: 'EEXIST' })
})

it('a granted folder in one that the plugin writes to is what its name says, whatever the plugin puts there', async () => {
  const { files, dataDir, outside } = made({ read: ['data/inner'] })
  symlinkSync(outside, join(dataDir, 'inner'))
  await expect(files.run({ act: 'readFile', path: 'inner/secret' })).rejects.toEqual(denied('read'))
})

it('a folder is removed with all in it, and what links in it lead to stays', async () => {
  const { files, dataDir, outside } = made()
  await files.run({ act: 'mkdir', path: 'a/b/c' })
  for (const name of ['a/1', 'a/b/2', 'a/b/c/3']) writeFileSync(join(dataDir, name), '')
  if (process.platform === 'linux') writeFileSync(Buffer.concat([Buffer.from(`${dataDir}/a/`), Buffer.from([0xff, 0xfe])]), '')
  symlinkSync(outside, join(dataDir, 'a/b/out'))
  await files.run({ act: 'rm', path: 'a' })
  expect(readdirSync(dataDir)).toEqual([])
  expect(readdirSync(outside)).toEqual(['secret'])
})

it('errors of the file system name the file as it was meant', async () => {
  const { files, dataDir } = made()
  const path = join(dataDir, 'none')
  for (const act of ['readFile', 'readdir', 'stat'] as const) {
    const error = (await files.run({ act, path: 'none' }).catch((thrown: unknown) => thrown)) as NodeJS.ErrnoException
    expect(error).toMatchObject({ code: 'ENOENT', path })
    expect(error.message).toContain(`'${path}'`)
    expect(error.stack).not.toContain('/proc/self')
  }
})

it('what does not say its size is read to its end, and what has none is refused', async () => {
  const { files } = made({ read: ['*'] })
  const path = import.meta.filename
  expect(await files.text(path)).toBe(readFileSync(path, 'utf8'))
  if (process.platform !== 'linux') return
  expect(await files.text('/proc/self/status')).toContain('Threads:')
  await expect(files.run({ act: 'readFile', path: '/dev/zero' })).rejects.toMatchObject({ code: 'FILE_KIND' })
})

describe.skipIf(process.platform === 'win32')('a pipe', () => {
  const withPipes = () => {
    const all = made()
    const names = Array.from({ length: 8 }, (_, at) => `pipe${at}`)
    execFileSync('mkfifo', names, { cwd: all.dataDir })
    return { ...all, names }
  }

  it('keeps nobody waiting who reads or writes it: it is refused, and files are read as before', async () => {
    const { files, names, dataDir } = withPipes()
    for (const act of ['readFile', 'writeFile', 'appendFile'] as const) {
      const all = await Promise.all(names.map((path) => files.run({ act, path, data: 'x' }).catch((error: unknown) => error)))
      for (const error of all) expect(error).toMatchObject({ code: 'FILE_KIND', plugin: 'p' })
    }
    await files.run({ act: 'writeFile', path: 'file', data: 'x' })
    expect(readFileSync(join(dataDir, 'file'), 'utf8')).toBe('x')
    expect(await files.run({ act: 'stat', path: `${names[0]}` })).toMatchObject({ kind: 'other' })
  })
})

// What it does by names alone, where nothing shows what is open, it cannot hold.
describe.skipIf(process.platform !== 'linux')('a plugin that swaps its folder for a link while the kernel is at work', () => {
  /** A process of its own renames as fast as it can: `a` is a folder with `f` in it, then a link to the folder outside. */
  const swapping = async () => {
    const all = made()
    const { dataDir, outside } = all
    mkdirSync(join(dataDir, 'a/sub'), { recursive: true })
    writeFileSync(join(dataDir, 'a/secret'), 'mine')
    mkdirSync(join(outside, 'sub'))
    writeFileSync(join(outside, 'sub/kept'), '')
    symlinkSync(outside, join(dataDir, 'link'))
    const code = `
      const { existsSync, lstatSync, renameSync, rmSync } = require('node:fs')
      // While it was away, the kernel may have made a folder of its name.
      const mend = () => {
        if (!existsSync('b')) return
        if (lstatSync('a', { throwIfNoEntry: false })?.isSymbolicLink()) renameSync('a', 'link')
        rmSync('a', { recursive: true, force: true })
        renameSync('b', 'a')
      }
      console.log('swapping')
      for (;;) {
        try { renameSync('a', 'b'); renameSync('link', 'a'); renameSync('a', 'link'); renameSync('b', 'a') } catch { try { mend() } catch {} }
      }`
    const swapper = spawn(process.execPath, ['-e', code], { cwd: dataDir, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(swapper, 'close')
    onTestFinished(async () => {
      swapper.kill('SIGKILL')
      await ended
    })
    await once(swapper.stdout, 'data')
    return all
  }

  /**
   * So often that what only looks at paths is led outside many times; and until it succeeds, as the one that swaps may have no processor
   * for a while.
   */
  const ROUNDS = 500

  const tried = async (act: (round: number) => Promise<unknown>[]): Promise<unknown[]> => {
    const got: unknown[] = []
    for (let round = 0; round < ROUNDS || got.length === 0; round++) {
      for (const outcome of await Promise.allSettled(act(round))) if (outcome.status === 'fulfilled') got.push(outcome.value)
    }
    return got
  }

  it('reads nothing but its own', { timeout: 120_000 }, async () => {
    const { files } = await swapping()
    const got = await tried(() => Array.from({ length: 4 }, () => files.text('a/secret')))
    expect(got).toContain('mine')
    expect(got).not.toContain('secret')
    const listed = await tried(() => [files.list('a/sub')])
    expect(new Set(listed.map((entries) => (entries as unknown[]).length))).toEqual(new Set([0]))
  })

  it('writes, makes, moves and removes nothing outside', { timeout: 120_000 }, async () => {
    const { files, outside, dataDir } = await swapping()
    await files.run({ act: 'writeFile', path: 'mine', data: '' })
    await tried((round) => [
      files.run({ act: 'writeFile', path: 'a/secret', data: 'changed' }),
      files.run({ act: 'appendFile', path: 'a/planted', data: 'x' }),
      files.run({ act: 'mkdir', path: `a/made${round % 3}/deep` }),
      files.run({ act: 'rename', path: 'a/planted', to: 'a/moved' }),
      files.run({ act: 'rm', path: 'a/sub' }),
      files.run({ act: 'rm', path: `a/made${round % 3}` }),
    ])
    expect(readdirSync(outside).sort()).toEqual(['secret', 'sub'])
    expect(readdirSync(join(outside, 'sub'))).toEqual(['kept'])
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret')
    expect(existsSync(join(dataDir, 'mine'))).toBe(true)
  })
})

/**
 * How often `act` goes to the threads on which Node asks the system for files; the least of a few, as others of this process may go there
 * too.
 */
const trips = async (act: () => Promise<unknown>): Promise<number> => {
  let least = Number.POSITIVE_INFINITY
  for (let n = 0; n < 5; n++) {
    let count = 0
    const hook = createHook({ init: (_, type) => void (/^(?:FSREQ|FILEHANDLECLOSEREQ)/.test(type) && count++) }).enable()
    await act()
    hook.disable()
    least = Math.min(least, count)
  }
  return least
}

// Plain `fs.promises` takes 4 to read a file and 3 to write one; the rest is to look where it lies and to hold its folder.
it.runIf(process.platform === 'linux').each([
  ['readFile', 6],
  ['writeFile', 7],
  ['appendFile', 6],
  ['stat', 3],
] as const)('%s of a small file takes no more than %i ways to the system', async (act, most) => {
  const { files, dataDir } = made()
  writeFileSync(join(dataDir, 'small'), 'text')
  expect(
    await trips(() => files.run({ act, path: 'small', ...(act.endsWith('File') && act !== 'readFile' && { data: 'text' }) })),
  ).toBeLessThanOrEqual(most)
})

it('a file of any size is read to its end', async () => {
  const { files, dataDir } = made()
  for (const content of ['', 'x', 'x'.repeat(70_000)]) {
    writeFileSync(join(dataDir, 'any'), content)
    expect(await files.text('any')).toBe(content)
  }
})
