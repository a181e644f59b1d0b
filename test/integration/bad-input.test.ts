import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import nodeModule from 'node:module'
import { join } from 'node:path'
import { createKernel } from 'plugbay'
import { describe, expect, it } from 'vitest'
import { emptyFolder, pluginCode, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'

const ok = pluginCode({ start: 'await ctx.services.provide("witness", { alive: () => ctx.generation })' })

interface Case {
  /** Puts the bad plugin into a folder, and returns its path. */
  put: (folder: string) => string
  code: string
  /** What, where, and what to do. */
  says: (string | RegExp)[]
}

const file = (path: string, text: string): void => {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
}

const withManifest = (manifest: string) => (folder: string) => {
  file(join(folder, 'bad/plugin.json'), manifest)
  file(join(folder, 'bad/index.js'), 'export default { start() {} }')
  return join(folder, 'bad')
}

const withCode =
  (code: string, manifest: Record<string, unknown> = {}) =>
  (folder: string) =>
    writePlugin(folder, 'bad', { code, manifest })

/** Elsewhere a process is in nobody's hands while it reads a module: what it waits for is told when its time is over. */
const seenByHooks = 'registerHooks' in nodeModule

/** With a pipe of that name. */
const withPipe =
  (name: string, manifest: Record<string, unknown>, code = '', more: Record<string, string> = {}) =>
  (folder: string) => {
    const path = withCode(`${code}\nexport default { start() {} }`, manifest)(folder)
    for (const [other, text] of Object.entries(more)) writeFileSync(join(path, other), text)
    execFileSync('mkfifo', [join(path, name)])
    return path
  }

const CASES: Record<string, Case> = {
  ...(process.platform !== 'win32' && {
    'a manifest that is a pipe': {
      put: (folder) => {
        mkdirSync(join(folder, 'bad'))
        execFileSync('mkfifo', [join(folder, 'bad/plugin.json')])
        return join(folder, 'bad')
      },
      code: 'MANIFEST_INVALID',
      says: ['plugin.json', 'no regular file'],
    },
    'a main that is a pipe': {
      put: withPipe('main.js', { main: 'main.js' }),
      code: 'PLUGIN_LOAD',
      says: ['main', "'main.js'", 'no regular file, but a pipe', 'Put a module there'],
    },
    'a task that is a pipe': {
      put: withPipe('task.js', { tasks: { count: 'task.js' } }),
      code: 'PLUGIN_LOAD',
      says: ['tasks.count', "'task.js'", 'no regular file, but a pipe'],
    },
    'an import of a pipe': {
      put: withPipe('pipe.js', {}, "import './pipe.js'"),
      code: 'PLUGIN_LOAD',
      says: ['pipe.js', 'no regular file, but a pipe', 'Put a module there'],
    },
    'an import of a pipe, in a process': {
      put: withPipe('pipe.js', { isolation: 'process', limits: seenByHooks ? {} : { loadTimeout: 1_000 } }, "import './pipe.js'"),
      code: seenByHooks ? 'PLUGIN_LOAD' : 'PLUGIN_TIMEOUT',
      says: ['pipe.js', 'no regular file, but a pipe', 'Put a module there'],
    },
    'a pipe that CommonJS requires': {
      put: withPipe('pipe.js', {}, "import './requires.cjs'", { 'requires.cjs': "require('./pipe.js')" }),
      code: 'PLUGIN_LOAD',
      says: ['pipe.js', 'no regular file, but a pipe', 'Put a module there'],
    },
  }),
  'a manifest that is no JSON': {
    put: withManifest('{\n  "name": "bad",\n  "version" "1.0.0"\n}'),
    code: 'MANIFEST_INVALID',
    says: ['plugin.json:3:', 'JSON'],
  },
  'a manifest with an unknown key': {
    put: withManifest('{"name":"bad","dependancies":{}}'),
    code: 'MANIFEST_INVALID',
    says: ['plugin.json', 'dependancies', "Did you mean 'dependencies'"],
  },
  'a manifest with a bad range': {
    put: withManifest('{"name":"bad","dependencies":{"a":"one"}}'),
    code: 'MANIFEST_INVALID',
    says: ['plugin.json', 'dependencies.a', "'one'", '^1.0.0'],
  },
  'a manifest with a bad version': {
    put: withManifest('{"name":"bad","version":"1"}'),
    code: 'MANIFEST_INVALID',
    says: ['version', '1.4.0'],
  },
  'a manifest with a bad name': { put: withManifest('{"name":"Bad Plugin"}'), code: 'MANIFEST_INVALID', says: ['name'] },
  'a manifest with a bad limit': {
    put: withManifest('{"name":"bad","limits":{"startTimeout":-5}}'),
    code: 'MANIFEST_INVALID',
    says: ['limits.startTimeout', '-5'],
  },
  'a manifest that names a kind of isolation there is not': {
    put: withManifest('{"name":"bad","isolation":"theard"}'),
    code: 'MANIFEST_INVALID',
    says: ['isolation', 'theard', "Did you mean 'thread'"],
  },
  'a kind of isolation that is not built yet': {
    put: withManifest('{"name":"bad","isolation":"grpc"}'),
    code: 'ISOLATION_UNAVAILABLE',
    says: ["'bad'", 'grpc', 'process', 'thread'],
  },
  'a main outside the folder': {
    put: withManifest('{"name":"bad","main":"../outside.js"}'),
    code: 'PATH_OUTSIDE_PLUGIN',
    says: ["'bad'", 'main', '../outside.js'],
  },
  'a main that leads outside by a link': {
    put: (folder) => {
      file(join(folder, 'elsewhere.js'), 'export default {}')
      file(join(folder, 'bad/plugin.json'), '{"name":"bad","main":"link.js"}')
      symlinkSync(join(folder, 'elsewhere.js'), join(folder, 'bad/link.js'))
      return join(folder, 'bad')
    },
    code: 'PATH_OUTSIDE_PLUGIN',
    says: ['link.js', 'outside'],
  },
  'a main that is not there': {
    put: withManifest('{"name":"bad","main":"indx.js"}'),
    code: 'PLUGIN_LOAD',
    says: ["'bad'", 'indx.js', "Did you mean 'index.js'"],
  },
  'a folder that is no plugin': {
    put: (folder) => {
      mkdirSync(join(folder, 'bad'))
      return join(folder, 'bad')
    },
    code: 'MANIFEST_MISSING',
    says: ['plugin.json'],
  },
  'a path where nothing is': { put: (folder) => join(folder, 'nowhere'), code: 'MANIFEST_MISSING', says: ['nowhere'] },
  'a config that fails its schema': {
    put: withCode('export default { start() {} }', {
      config: { schema: { type: 'object', properties: { port: { type: 'integer' } } }, defaults: { port: 'http' } },
    }),
    code: 'CONFIG_INVALID',
    says: ["'bad'", 'port', 'http'],
  },
  'a schema that is none': {
    put: withCode('export default { start() {} }', { config: { schema: { type: 'objekt' } } }),
    code: 'MANIFEST_INVALID',
    says: ['objekt'],
  },
  'a variable that is not set': {
    put: withCode('export default { start() {} }', {
      config: { defaults: { key: '$' + '{NOT_SET_HERE}' } },
      permissions: [{ resource: 'env:NOT_SET_HERE', actions: ['read'] }],
    }),
    code: 'CONFIG_ENV_MISSING',
    says: ["'bad'", 'NOT_SET_HERE', 'key'],
  },
  'a variable in its own defaults that it was not granted': {
    put: withCode('export default { start() {} }', { config: { defaults: { key: '$' + '{NOT_SET_HERE}' } } }),
    code: 'PERMISSION_DENIED',
    says: ["'bad'", 'NOT_SET_HERE', 'key'],
  },
  'a module that throws': { put: withCode('throw new RangeError("at the top")'), code: 'PLUGIN_LOAD', says: ["'bad'", 'at the top'] },
  'a module that does not parse': { put: withCode('export default {\n  start( {\n}'), code: 'PLUGIN_LOAD', says: ["'bad'"] },
  'a module that imports what is not there': {
    put: withCode('import "left-pad-not-there"\nexport default { start() {} }'),
    code: 'PLUGIN_LOAD',
    says: ["'bad'", 'left-pad-not-there'],
  },
  'a top-level await that never ends': {
    put: withCode('await new Promise(() => {})\nexport default { start() {} }', { limits: { loadTimeout: 120 } }),
    code: 'PLUGIN_TIMEOUT',
    says: ["'bad'", "'load'", '120 ms', 'top-level await'],
  },
  'a default export that is no plugin': {
    put: withCode('export default () => {}'),
    code: 'PLUGIN_SHAPE',
    says: ["'bad'", 'function', 'definePlugin'],
  },
  'a name that is taken': {
    put: (folder) => writePlugin(folder, 'other-folder', { code: ok, manifest: { name: 'witness' } }),
    code: 'PLUGIN_DUPLICATE',
    says: ["'witness'", 'other-folder', 'Rename'],
  },
  'a dependency that is not there': {
    put: withCode('export default { start() {} }', { dependencies: { witnes: '*' } }),
    code: 'DEPENDENCY_MISSING',
    says: ["'bad'", "'witnes'", "Did you mean 'witness'"],
  },
  'a conflict with what runs': {
    put: withCode('export default { start() {} }', { conflicts: { witness: '*' } }),
    code: 'DEPENDENCY_CONFLICT',
    says: ["'bad'", "'witness'"],
  },
}

describe('each has its own code, says what, where and what to do, and disturbs nothing that runs', () => {
  for (const [name, { put, code, says }] of Object.entries(CASES)) {
    it(name, async () => {
      const { kernel } = await startedWith({ witness: ok })
      const witness = await kernel.services.use('witness')
      const path = put(emptyFolder())
      const error = (await kernel.load(path).catch((thrown: unknown) => thrown)) as { code: string; message: string }
      expect(error).toMatchObject({ name: 'PlugbayError', code })
      for (const text of says)
        expect(error.message).toMatch(typeof text === 'string' ? new RegExp(text.replaceAll(/[.*+?^$()[\]{}|\\]/g, '\\$&')) : text)
      expect(kernel.plugins().map((plugin) => [plugin.name, plugin.state, plugin.generation])).toEqual([['witness', 'running', 1]])
      await expect(witness.alive?.()).resolves.toBe(1)
    })
  }

  it('and the same at boot: the rest runs, the report tells', async () => {
    const folder = emptyFolder()
    writePlugin(folder, 'witness', { code: ok })
    withManifest('{"name":"bad","colour":"red"}')(folder)
    writePlugin(folder, 'thrower', { code: 'throw new Error("x")' })
    writePlugin(folder, 'z-twin', { code: ok, manifest: { name: 'witness' } })
    const kernel = await createKernel({ plugins: folder, dataDir: join(folder, '.data'), logLevel: 'silent', standby: 0 })
    const report = await kernel.start()
    expect(report.plugins.map(({ name, state, error }) => [name, state, error?.code]).sort()).toEqual([
      ['bad', 'failed', 'MANIFEST_INVALID'],
      ['thrower', 'failed', 'PLUGIN_LOAD'],
      ['witness', 'failed', 'PLUGIN_DUPLICATE'],
      ['witness', 'running', undefined],
    ])
    expect(stateOf(kernel, 'witness')).toBe('running')
    await kernel.stop()
  })
})

it.each([
  [{ plugin: './plugins' }, "Did you mean 'plugins'"],
  [{ standby: -1 }, 'standby'],
  [{ defaults: { isolation: 'worker' } }, 'isolation'],
  [{ logger: {} }, 'logger'],
])('options that are not valid are refused: %o', async (options, text) => {
  await expect(createKernel(options as never)).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining(text) })
})
