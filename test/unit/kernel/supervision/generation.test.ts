/** One run of a plugin, in a place that does not behave as places do. */
import { expect, test } from 'vitest'
import { makePlane } from '#src/kernel/services/plane.js'
import { Generation, type GenerationOptions } from '#src/kernel/supervision/generation.js'
import { PermissionSet } from '#src/permission-set.js'
import { channelPair } from '#src/sandbox/channel.js'
import type { PluginHost } from '#src/sandbox/plugin-host.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

test('a place whose line is gone and that never tells its end keeps nobody waiting', async () => {
  const [kernelEnd, guestEnd] = channelPair()
  const host: PluginHost = {
    kind: 'thread',
    tier: 'thread',
    holds: [],
    exited: new Promise(() => {}),
    start: async () => kernelEnd,
    // Later than its line ends, as a place is.
    kill: () => new Promise((resolve) => setTimeout(resolve, 20)),
  }
  const root = emptyFolder()
  const generation = new Generation({
    source: { name: 'p', version: '1.0.0', root, entry: `${root}/index.js`, tasks: {} },
    number: 1,
    config: {},
    limits: { loadTimeout: 0, memory: 64 },
    dataDir: root,
    permissions: new PermissionSet({ root, dataDir: root, permissions: [] }),
    host,
    plane: makePlane(
      'kernel',
      () => {},
      () => false,
    ),
    tasks: { expect: () => {}, close: async () => {} },
    moved: () => {},
    log: () => {},
    endsWell: () => false,
    crashed: () => {},
  } as unknown as GenerationOptions)
  const end = (): void => guestEnd.close()
  guestEnd.listen(end, () => {})
  await expect(generation.start(new AbortController().signal)).rejects.toMatchObject({
    code: 'PLUGIN_CRASHED',
    message: expect.stringContaining('it exits and does not end') as string,
  })
})
