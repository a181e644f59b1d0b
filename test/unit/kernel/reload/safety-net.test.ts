/** What the watcher's safety net costs: it looks at all files every two seconds, also while nothing happens. */
import { createHook } from 'node:async_hooks'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Watcher } from '#src/kernel/reload/watcher.js'
import { eventually } from '../../../support/eventually.js'
import { tree } from '../../../support/tree.js'

const FILES = Array.from({ length: 100 }, (_, n) => `plugins/p${n}/index.js`)

test('a hundred files are asked for at once, and not each when another has its answer', async () => {
  const root = tree(Object.fromEntries(FILES.map((file) => [file, 'export default {}'])))
  const watcher = new Watcher({ poll: 50, onChange: () => {} })
  onTestFinished(() => watcher.close())
  for (const file of FILES) await watcher.track(file, [join(root, file)])
  await watcher.ready()

  const underWay = new Set<number>()
  let most = 0
  const hook = createHook({
    init: (id, type) => {
      if (type !== 'FSREQCALLBACK') return
      underWay.add(id)
      most = Math.max(most, underWay.size)
    },
    before: (id) => void underWay.delete(id),
  }).enable()
  onTestFinished(() => void hook.disable())
  await eventually(() => expect(most).toBeGreaterThanOrEqual(FILES.length))
})
