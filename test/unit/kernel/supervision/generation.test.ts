/** One run of a plugin, in a place that does not behave as places do. */
import { expect, test } from 'vitest'
import { makePlane } from '#src/kernel/services/plane.js'
import { Generation, type GenerationOptions } from '#src/kernel/supervision/generation.js'
import { PermissionSet } from '#src/permission-set.js'
import { channelPair } from '#src/sandbox/channel.js'
import type { PluginHost } from '#src/sandbox/plugin-host.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

/** A generation in a place that is this here. */
const generationIn = (host: Pick<PluginHost, 'start' | 'kill'>): Generation => {
  const root = emptyFolder()
  return new Generation({
    source: { name: 'p', version: '1.0.0', root, entry: `${root}/index.js`, tasks: {} },
    number: 1,
    config: {},
    limits: { loadTimeout: 0, memory: 64 },
    dataDir: root,
    permissions: new PermissionSet({ root, dataDir: root, permissions: [] }),
    host: { kind: 'thread', tier: 'thread', holds: [], exited: new Promise(() => {}), ...host } satisfies PluginHost,
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
}

test('a place whose line is gone and that never tells its end keeps nobody waiting', async () => {
  const [kernelEnd, guestEnd] = channelPair()
  const generation = generationIn({
    start: async () => kernelEnd,
    // Later than its line ends, as a place is.
    kill: () => new Promise((resolve) => setTimeout(resolve, 20)),
  })
  const end = (): void => guestEnd.close()
  guestEnd.listen(end, () => {})
  await expect(generation.start(new AbortController().signal)).rejects.toMatchObject({
    code: 'PLUGIN_CRASHED',
    message: expect.stringContaining('it exits and does not end') as string,
  })
})

test('a place that was taken for a generation ends with it, though that was stopped before it began to start', async () => {
  const killed: string[] = []
  const generation = generationIn({
    start: () => Promise.reject(new Error('is not started')),
    kill: async (reason) => void killed.push(reason),
  })
  await expect(generation.start(AbortSignal.abort('it was disabled'))).rejects.toMatchObject({ code: 'PLUGIN_STOPPED' })
  expect(killed).toEqual(['the generation ended'])
})
