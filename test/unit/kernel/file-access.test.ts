import { existsSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { FileAccess } from '#src/kernel/file-access.js'
import { emptyFolder } from '../../support/plugin-folder.js'

const made = (grants: { read?: string[]; write?: string[] } = {}) => {
  const base = emptyFolder()
  const [root, dataDir, outside] = ['plugin', 'data', 'outside'].map((name) => join(base, name)) as [string, string, string]
  for (const folder of [root, dataDir, outside]) mkdirSync(folder)
  writeFileSync(join(root, 'index.js'), 'code')
  writeFileSync(join(outside, 'secret'), 'secret')
  const denials: string[] = []
  const absolute = (paths: string[] = []) => paths.map((path) => (path === '*' ? path : join(base, path)))
  const files = new FileAccess({
    plugin: 'p',
    root,
    dataDir,
    grants: { read: absolute(grants.read), write: absolute(grants.write) },
    denied: (resource, action) => denials.push(`${action} ${resource}`),
  })
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
  expect(await files.run({ act: 'readFile', path: 'a/b/c.txt', encoding: 'utf8' })).toBe('one two')
  expect(await files.run({ act: 'readFile', path: 'a/b/c.txt' })).toEqual(new TextEncoder().encode('one two'))
  expect(await files.run({ act: 'readdir', path: 'a' })).toEqual([{ name: 'b', kind: 'folder' }])
  expect(await files.run({ act: 'stat', path: 'a/b/c.txt' })).toMatchObject({ kind: 'file', size: 7, modified: expect.any(Date) as Date })
  await files.run({ act: 'rename', path: 'a/b/c.txt', to: 'd.txt' })
  await files.run({ act: 'rm', path: 'a' })
  expect(await files.run({ act: 'readdir', path: '.' })).toEqual([{ name: 'd.txt', kind: 'file' }])
})

it('it reads its own folder, and does not write there', async () => {
  const { files, root, denials } = made()
  const file = join(root, 'index.js')
  expect(await files.run({ act: 'readFile', path: file, encoding: 'utf8' })).toBe('code')
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
  expect(await reader.files.run({ act: 'readFile', path: join(reader.outside, 'secret'), encoding: 'utf8' })).toBe('secret')
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
