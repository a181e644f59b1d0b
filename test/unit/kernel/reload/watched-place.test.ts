/** Looks at one plugin of a place that overlap, as they do where the disk or the machine is slow. */
import { type PathLike, promises, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { WatchedPlace } from '#src/kernel/reload/watched-place.js'
import { eventually } from '../../../support/eventually.js'
import { tree } from '../../../support/tree.js'

/** What is found when this path is looked at for the `nth` time is kept back until it is let go. */
const heldLook = (path: string, nth: number) => {
  let looks = 0
  let letGo: (() => void) | undefined
  const { stat } = promises
  const spy = vi.spyOn(promises, 'stat').mockImplementation(async (at: PathLike) => {
    const found = stat(at)
    if (at === path && ++looks === nth) await Promise.all([found.catch(() => {}), new Promise<void>((resolve) => (letGo = resolve))])
    return found
  })
  syncBuiltinESMExports()
  onTestFinished(() => {
    spy.mockRestore()
    syncBuiltinESMExports()
  })
  return {
    begun: () => eventually(() => expect(letGo).toBeDefined()),
    /** Resolves when who looked has heard. */
    letGo: async () => {
      letGo?.()
      await turn()
    },
  }
}

/** A place that tells what is gone from it, where these are tracked. */
const watched = async (root: string, tracked: string[]) => {
  const vanished: string[] = []
  const place = new WatchedPlace(root, {
    settle: 1,
    isIgnored: () => false,
    tracked: () => new Set(tracked),
    watchFolder: () => () => {},
    onAppear: () => {},
    onVanish: (gone) => vanished.push(basename(gone)),
  })
  onTestFinished(() => place.close())
  await place.ready
  return { place, vanished }
}

test('a look that is over after a newer one says nothing of a plugin that has come back meanwhile', async () => {
  const root = tree({ 'p.js': 'one' })
  const path = join(root, 'p.js')
  const { place, vanished } = await watched(root, [path])
  // The first finds nothing there, the second is to make certain of that.
  const second = heldLook(path, 2)
  rmSync(path)
  void place.look('p.js')
  await second.begun()
  writeFileSync(path, 'one')
  await place.judged(path)
  await second.letGo()
  await place.judged(path)
  expect(vanished).toEqual([])
  rmSync(path)
  await place.judged(path)
  expect(vanished).toEqual(['p.js'])
})

test('a plugin that went before it was looked at is gone, if it is tracked by then', async () => {
  const root = tree()
  const { place, vanished } = await watched(root, [join(root, 'p.js')])
  for (const name of ['p.js', 'q.js']) await place.judged(join(root, name))
  expect(vanished).toEqual(['p.js'])
})
