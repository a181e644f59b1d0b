/** Folders where nothing shows what is open, as on macOS and Windows: what was opened is compared with what lies there. Linux has its tests with what uses them. */
import { constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { emptyFolder } from '../../support/plugin-folder.js'

/** The module once more, as it looks at the platform when it is loaded. */
const MODULE = new URL('../../../dist/kernel/held-folder.js?elsewhere', import.meta.url).href

const elsewhere = async (): Promise<typeof import('#src/kernel/held-folder.js')> => {
  vi.spyOn(process, 'platform', 'get').mockReturnValue('darwin')
  onTestFinished(() => void vi.restoreAllMocks())
  return import(MODULE)
}

let folder: string

beforeEach(() => {
  folder = emptyFolder()
  for (const name of ['mine', 'outside']) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'file'), name)
  }
})

it('opens what lies there', async () => {
  const { hold, openHeld } = await elsewhere()
  const text = await hold(join(folder, 'mine/file'), async (held) => {
    expect(held.path).toBe(join(folder, 'mine/file'))
    const file = await openHeld(held, constants.O_RDONLY)
    const read = await file?.readFile('utf8')
    await file?.close()
    return read
  })
  expect(text).toBe('mine')
})

it('opens nothing where a link has been put on the way to it', async () => {
  const { hold, openHeld } = await elsewhere()
  symlinkSync(join(folder, 'outside'), join(folder, 'swapped'), 'junction')
  const file = await hold(join(folder, 'swapped/file'), (held) => openHeld(held, constants.O_RDONLY))
  expect(file).toBeUndefined()
})

it('lists, and removes with all in it', async () => {
  const { hold, listHeld, removeHeld } = await elsewhere()
  expect((await hold(join(folder, 'mine'), listHeld)).map(({ name }) => name)).toEqual(['file'])
  await hold(join(folder, 'mine'), removeHeld)
  await hold(join(folder, 'mine'), removeHeld)
  expect((await hold(folder, listHeld)).map(({ name }) => name)).toEqual(['outside'])
})
