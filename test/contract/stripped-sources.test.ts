/** Where Node does not strip types, each place takes what the kernel hands it, for sources that are as they were then. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { InlineHost } from '#src/sandbox/host/inline.js'
import { ProcessHost } from '#src/sandbox/host/process.js'
import { Standby } from '#src/sandbox/host/standby.js'
import { ThreadHost } from '#src/sandbox/host/thread.js'
import { NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import type { PluginHost } from '#src/sandbox/plugin-host.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { runsTypeScript } from '#src/strip-types.js'
import { loadRequest } from '../support/load-request.js'
import { emptyFolder, writePlugin } from '../support/plugin-folder.js'

const SOURCE = 'export default { start(): void {} }'
/** To be told from what the place would make of it. */
const CODE = 'export default { health() {} }'

const HOSTS: Record<string, (root: string) => PluginHost | Promise<PluginHost>> = {
  inline: () => new InlineHost(),
  thread: () => new ThreadHost(new Standby(0)),
  process: (root) =>
    ProcessHost.make({
      plugin: 'p',
      root,
      dataDir: join(root, 'data'),
      packages: [],
      grants: NO_GRANTS,
      memory: 256,
      needsHooks: true,
      inspected: false,
    }),
}

const loaded = async (make: (typeof HOSTS)[string], code: string): Promise<unknown> => {
  const path = writePlugin(emptyFolder(), 'typed', { main: 'index.ts', code })
  const host = await make(path)
  onTestFinished(() => host.kill('the test is over'))
  const talk = new Conversation(await host.start(new AbortController().signal), { request: () => undefined }, "plugin 'typed'")
  const load = loadRequest('typed', path, {
    entry: pathToFileURL(join(path, 'index.ts')).href,
    inline: host.kind === 'inline',
    needsHooks: true,
    stripped: [[SOURCE, CODE]],
  })
  return await talk.request('load', load)
}

describe.skipIf(runsTypeScript).each(Object.entries(HOSTS))('a place of kind %s', (_kind, make) => {
  it('strips no source that was stripped before', async () => {
    expect(await loaded(make, SOURCE)).toEqual({ hooks: ['health'] })
  })

  it('strips what was saved since by itself', async () => {
    expect(await loaded(make, `${SOURCE}\n`)).toEqual({ hooks: ['start'] })
  })
})
