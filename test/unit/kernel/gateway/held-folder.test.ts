/**
 * Folders where nothing shows what is open, as on macOS and Windows: what was opened is compared with what lies there. Linux has its tests
 * with what uses them.
 */
import { constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { emptyFolder } from '../../../support/plugin-folder.js'

/** The module once more, as it looks at the platform when it is loaded. */
const MODULE = new URL('../../../../dist/kernel/gateway/held-folder.js?elsewhere', import.meta.url).href

const elsewhere = async (): Promise<typeof import('#src/kernel/gateway/held-folder.js')> => {
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
  const list = async (path: string): Promise<string[]> => {
    const names: string[] = []
    await hold(path, (held) => listHeld(held, async (entries) => void names.push(...entries.map(({ name }) => name))))
    return names
  }
  expect(await list(join(folder, 'mine'))).toEqual(['file'])
  await hold(join(folder, 'mine'), removeHeld)
  await hold(join(folder, 'mine'), removeHeld)
  expect(await list(folder)).toEqual(['outside'])
})

it('lists a large folder a part at a time, and others have their turn in between', async () => {
  const { hold, listHeld } = await import('#src/kernel/gateway/held-folder.js')
  const names = Array.from({ length: 1_500 }, (_, at) => `file-${at}`).sort()
  for (const name of names) writeFileSync(join(folder, 'mine', name), '')
  let turns = 0
  const turn = (): void => {
    turns++
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  onTestFinished(() => clearImmediate(next))
  const parts: { names: string[]; turn: number }[] = []
  await hold(join(folder, 'mine'), (held) =>
    listHeld(held, async (entries) => void parts.push({ names: entries.map(({ name }) => name), turn: turns })),
  )
  expect(parts.flatMap((part) => part.names).sort()).toEqual(['file', ...names])
  expect(Math.max(...parts.map((part) => part.names.length))).toBeLessThanOrEqual(512)
  expect(new Set(parts.map((part) => part.turn)).size).toBe(parts.length)
})
