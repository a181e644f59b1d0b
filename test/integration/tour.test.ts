/** The tour, as whoever types `npm run tour` sees it. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { node, root } from '../support/command.js'

test('the tour shows a living system, checks what it says, leaves nothing, and exits with 0', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await node(['examples/tour/tour.js'], root)
  expect(stderr).toBe('')
  expect(stdout).toMatch(/user\.login +from the application/)
  expect(stdout).toMatch(/user\.welcome +from plugin hello, generation 1/)
  expect(stdout).toMatch(/notification\.sent +from plugin notifications, generation 1/)
  expect(stdout).toContain('Generation 2 took over from 1')
  expect(stdout).toContain('PLUGIN_CRASHED')
  expect(stdout).toContain('hello/index.js'.slice(6))
  expect(stdout).toContain('No thread is left.')
  expect(code).toBe(0)
  expect((await readdir(join(root, 'data'))).filter((name) => name.startsWith('tour-'))).toEqual([])
})
