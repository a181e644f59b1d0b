/** A file that is another for a moment, as where folders change places. */
import fs, { renameSync, type Stats, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { WatchedFile } from '#src/kernel/reload/watched-file.js'
import { eventually } from '../../../support/eventually.js'
import { tree } from '../../../support/tree.js'

type Answer = (error: Error | null, stats: Stats) => void

test('a save is seen though what lay there before lies there again for the moment between a look and the reading', async () => {
  const root = tree({ 'p/file': 'one', 'q/file': 'one' })
  const path = join(root, 'p', 'file')
  let versions = 0
  const file = new WatchedFile(path, { settle: 1, onVersion: () => versions++, onIdle: () => {} })
  onTestFinished(() => file.close())
  await file.ready
  writeFileSync(path, 'two')

  const swap = (): void => {
    renameSync(join(root, 'p'), join(root, 'aside'))
    renameSync(join(root, 'q'), join(root, 'p'))
    renameSync(join(root, 'aside'), join(root, 'q'))
  }
  let looks = 0
  const { stat } = fs as unknown as { stat(at: string, options: object, answer: Answer): void }
  const held = (at: string, options: object, answer: Answer): void => {
    if (at === path && ++looks === 2) swap()
    stat(at, options, (error, stats) => {
      if (at === path && looks === 1) swap()
      answer(error, stats)
    })
  }
  const spy = vi.spyOn(fs, 'stat').mockImplementation(held as typeof fs.stat)
  syncBuiltinESMExports()
  onTestFinished(() => {
    spy.mockRestore()
    syncBuiltinESMExports()
  })
  await file.stirs()
  await eventually(async () => {
    file.look()
    expect([looks > 1, versions]).toEqual([true, 1])
  })
})
