/** What is told of a shortage, and what is left of it when it is over. */
import { describe, expect, test } from 'vitest'
import { explainShortage } from '#src/kernel/text/system-limit.js'
import { built, withFewDescriptors } from '../../../support/few-descriptors.js'
import { tree } from '../../../support/tree.js'

const explained = (code: string, message = code): Error => {
  try {
    return explainShortage('mail')(Object.assign(new Error(message), { code }))
  } catch (error) {
    return error as Error
  }
}

test.each([
  ['EMFILE', 'the application has no free descriptor', 'ulimit -n'],
  ['ENFILE', 'the system has no free descriptor', 'fs.file-max'],
  ['EAGAIN', 'no more processes and threads', 'ulimit -u'],
  ['ENOMEM', 'the system has no memory for it', 'container'],
])('%s names the plugin, what is lacking and where more comes from', (shortage, lacks, mend) => {
  for (const error of [
    explained(shortage, `spawn prlimit ${shortage}`),
    explained('ERR_WORKER_INIT_FAILED', `Worker initialization failure: ${shortage}`),
  ]) {
    expect(error).toMatchObject({
      code: 'SYSTEM_LIMIT',
      plugin: 'mail',
      details: { shortage },
      cause: { message: expect.stringContaining(shortage) },
    })
    expect(error.message).toMatch(/^Plugin 'mail' cannot be started: /)
    expect(error.message).toContain(lacks)
    expect(error.message).toContain(mend)
  }
})

test('what is for no shortage stays what it is', () => {
  expect(explained('ENOENT', 'spawn ENOENT')).toMatchObject({ code: 'ENOENT', message: 'spawn ENOENT' })
  expect(explained('ERR_WORKER_INIT_FAILED', 'Worker initialization failure: EINVAL')).toMatchObject({ code: 'ERR_WORKER_INIT_FAILED' })
})

describe.skipIf(process.platform === 'win32')('without a free descriptor', () => {
  const schema = { type: 'object', properties: { text: { type: 'string', pattern: '^a' } } }
  const files = {
    'plugins/a/plugin.json': { name: 'a', isolation: 'inline', config: { schema } },
    'plugins/a/index.js': 'export default { start() {}, updateConfig() {} }',
    'plugins/notes/read.me': '',
    'conf/a.yaml': 'text: abc',
    'json/plugbay.config.json': {},
    'yaml/plugbay.config.yaml': '{}',
    'mjs/plugbay.config.mjs': 'export default {}',
  }
  /** What each of the expressions comes to, in order, as code and message. */
  const OUTCOME = `
    const outcome = async (act) => {
      try { return (await act()) ?? 'done' } catch ({ code, message }) { return code + ' ' + message }
    }`
  const lacking = (what: string) =>
    expect.stringMatching(
      new RegExp(`^SYSTEM_LIMIT .*${what}.* cannot be (?:read|checked): the application has no free descriptor`),
    ) as string

  test('files and folders of plugins, options and configurations are told of as what cannot be read for want of one', async () => {
    const root = tree(files)
    const told = await withFewDescriptors(`
      import { discover, looksLikePlugin } from ${built('kernel/manifest/discovery.js')}
      import { readPlugin } from ${built('kernel/manifest/plugin-source.js')}
      import { loadConfigFile } from ${built('kernel/options/config-file.js')}
      import { resolvePluginConfig } from ${built('kernel/config/plugin-config.js')}
      ${OUTCOME}
      const root = ${JSON.stringify(root)}
      const release = exhaust()
      const told = []
      for (const act of [
        () => readPlugin(root + '/plugins/a'),
        () => { throw discover('plugins', root).faults[0].error },
        () => { throw discover('plugins/a', root).faults[0].error },
        () => resolvePluginConfig({ name: 'a', configDir: root + '/conf', env: {} }),
        () => loadConfigFile(root + '/json'),
        () => loadConfigFile(root + '/json/plugbay.config.json'),
        () => loadConfigFile(root + '/yaml/plugbay.config.yaml'),
        () => loadConfigFile(root + '/mjs/plugbay.config.mjs'),
      ]) told.push(await outcome(act))
      const looks = ['a', 'notes'].map((name) => looksLikePlugin(root + '/plugins/' + name))
      release()
      const after = ['a', 'notes'].map((name) => looksLikePlugin(root + '/plugins/' + name))
      console.log(JSON.stringify({ told, looks, after }))`)
    expect(told).toEqual({
      told: [
        lacking('plugins/a'),
        lacking('plugins'),
        lacking('plugins/a'),
        lacking('configDir .*conf'),
        lacking('json'),
        lacking('json/plugbay.config.json'),
        lacking('yaml/plugbay.config.yaml'),
        lacking('mjs/plugbay.config.mjs'),
      ],
      // It may be one: who reads it is told.
      looks: [true, true],
      after: [true, false],
    })
  })

  test('the first kernel, and the first configuration file, of a process are told of as what cannot be loaded for want of one', async () => {
    const told = await withFewDescriptors(`
      import { createKernel, loadConfigFile } from ${built('index.js')}
      ${OUTCOME}
      const release = exhaust()
      console.log(JSON.stringify([await outcome(createKernel), await outcome(() => loadConfigFile('/'))]))`)
    const unloaded = (call: string) =>
      expect.stringMatching(`^SYSTEM_LIMIT ${call}\\(\\) cannot load what it is made of: the application has no free descriptor`) as string
    expect(told).toEqual([unloaded('createKernel'), unloaded('loadConfigFile')])
  })

  test('a kernel goes on with its plugins as they are, tells what it cannot do, and does it once there is one', async () => {
    const told = await withFewDescriptors(`
      import { createKernel } from ${built('index.js')}
      ${OUTCOME}
      const kernel = await createKernel({ base: ${JSON.stringify(tree(files))}, plugins: 'plugins', logLevel: 'silent', standby: 0 })
      await kernel.start()
      const acts = [() => kernel.reload('a').then(({ to }) => to), () => kernel.updateConfig('a', { text: 'abc' })]
      const release = exhaust()
      const during = []
      for (const act of acts) during.push(await outcome(act))
      during.push(kernel.plugins().map(({ name, state, generation }) => [name, state, generation]))
      release()
      const after = []
      for (const act of acts) after.push(await outcome(act))
      await kernel.stop()
      console.log(JSON.stringify({ during, after }))`)
    expect(told).toEqual({
      during: [lacking('plugins/a'), lacking("configuration of plugin 'a'"), [['a', 'running', 1]]],
      after: [2, 'done'],
    })
  })

  test('a schema that could not be compiled is compiled when it is asked for again', async () => {
    const told = await withFewDescriptors(`
      import { resolvePluginConfig } from ${built('kernel/config/plugin-config.js')}
      ${OUTCOME}
      const resolve = (declaration) => outcome(() => resolvePluginConfig({ name: 'a', declaration, env: {} }).then(() => 'done'))
      const declaration = ${JSON.stringify({ schema })}
      // The validator is there.
      await resolve({ schema: {} })
      const release = exhaust()
      const during = await resolve(declaration)
      release()
      console.log(JSON.stringify([during, await resolve(declaration)]))`)
    expect(told).toEqual([lacking("configuration of plugin 'a'"), 'done'])
  })
})
