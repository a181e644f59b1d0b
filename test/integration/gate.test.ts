/**
 * What the code of a thread plugin can reach: every door is tried by a real plugin in a real thread, with and without the grant that opens
 * it.
 */

import { once } from 'node:events'
import { Dir, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import nodeModule, { builtinModules } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CLOSED_GLOBALS, OPEN_GLOBALS } from '#src/sandbox/guest/doors/global-doors.js'
import { CLOSED_OF_PROCESS, OPEN_OF_PROCESS, REPLACED_OF_PROCESS } from '#src/sandbox/guest/doors/process-doors.js'
import { permissionFlags } from '#src/sandbox/host/permission-flags.js'
import { Standby } from '#src/sandbox/host/standby.js'
import { ThreadHost } from '#src/sandbox/host/thread.js'
import { BY_GRANT, CLOSED, OPEN } from '#src/sandbox/permissions/builtin-modules.js'
import { type Grants, NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import type { LogLevel } from '#src/sandbox/protocol.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { eventually } from '../support/eventually.js'
import { loadRequest } from '../support/load-request.js'
import { emptyFolder, pluginCode, writePlugin } from '../support/plugin-folder.js'
import { PORT_THIEF } from '../support/port-thief.js'

interface Gated {
  host: ThreadHost
  /** Runs the plugin's health, which tries what the test is about, and resolves with what it returned. */
  attempt: () => Promise<unknown>
  lines: { level: LogLevel; message: string }[]
  /** What the kernel was told that the gate refused: resource and action. */
  denied: string[]
}

/** A plugin in a thread with a gate; `files`: beside its index.js. */
const gated = async (code: string, grants: Partial<Grants> = {}, files: Record<string, string> = {}): Promise<Gated> => {
  const path = writePlugin(emptyFolder(), 'curious', { code })
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  const all = { ...NO_GRANTS, ...grants }
  const host = new ThreadHost(
    new Standby(0),
    permissionFlags(all, { root: path, packages: [], application: { base: path, places: [dirname(path)] } }),
  )
  onTestFinished(() => host.kill('the test is over'))
  const channel = await host.start(new AbortController().signal)
  const lines: Gated['lines'] = []
  const denied: string[] = []
  const talk = new Conversation(
    channel,
    {
      request: () => undefined,
      notice: (verb, metas) => {
        if (verb === 'denied') denied.push(metas.join(' '))
        if (verb === 'log') lines.push({ level: metas[0] as LogLevel, message: metas[1] as string })
      },
    },
    "plugin 'curious'",
  )
  await talk.request('load', loadRequest('curious', path, { grants: all }))
  return { host, lines, denied, attempt: () => talk.request('health') }
}

/** What the body returns when it runs in a plugin with these grants. */
const tried = async (body: string, grants?: Partial<Grants>, files?: Record<string, string>): Promise<unknown> => {
  const before = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)"
  const { attempt } = await gated(
    pluginCode({ health: `return { healthy: true, value: await (async () => {\n${body}\n})() }` }, before),
    grants,
    files,
  )
  return ((await attempt()) as { value: unknown }).value
}

/** The same of many bodies by their names, in one thread: for what changes nothing in it. */
const triedAll = (bodies: Record<string, string>, files?: Record<string, string>) => {
  const acts = Object.entries(bodies).map(([name, body]) => `${JSON.stringify(name)}: async () => {\n${body}\n}`)
  let found: Promise<Record<string, unknown>> | undefined
  return async (name: string): Promise<unknown> => {
    found ??= tried(
      `const acts = { ${acts.join(',\n')} }
      const found = {}
      for (const name of Object.keys(acts)) found[name] = await acts[name]().then((value) => (Array.isArray(value) ? value : 'let in'), (error) => error.message)
      return found`,
      {},
      files,
    ) as Promise<Record<string, unknown>>
    return (await found)[name]
  }
}

const refused = (what: RegExp) => expect.stringMatching(new RegExp(`^(Error: )?.*'curious' may not ${what.source}`))

const DOORS: Record<string, string> = {
  'a dynamic import': "return import('node:fs')",
  'a dynamic import without node:': "return import('fs')",
  'a part of a module': "return import('fs/promises')",
  'an import from a data: module': 'return import(`data:text/javascript,import "node:fs"; export default 1`)',
  'an import in eval': 'return (0, eval)(\'import("node:fs")\')',
  'an import in a new Function': 'return new Function(\'return import("node:fs")\')()',
  'require by createRequire': "return require('fs')",
  'require of CommonJS': "return require('./common.cjs')('fs')",
  'an import of CommonJS': "return (await import('./common.cjs')).default('node:fs')",
  'Module._load': "return require('module')._load('fs')",
  'Module._load found through a module': "return require('./constructor.cjs')._load('node:fs', null, false)",
  'the require of the main module': "return Object.values(require.cache)[0].require('fs')",
  'process.getBuiltinModule': "if (!process.getBuiltinModule) return import('fs'); return process.getBuiltinModule('fs')",
  'node:process getBuiltinModule':
    "const p = await import('node:process'); if (!p.getBuiltinModule) return import('fs'); return p.getBuiltinModule('fs')",
}

describe('a plugin without grants', () => {
  const triedDoor = triedAll(DOORS, {
    'common.cjs': 'module.exports = (name) => require(name)',
    'constructor.cjs': 'module.exports = module.constructor',
  })

  it.each(Object.keys(DOORS))('is refused files by %s', async (door) => {
    expect(await triedDoor(door)).toEqual(
      refused(/import 'node:fs(\/promises)?'\. To allow it, add \{ "resource": "fs:<path>", "actions": \["read"\] \}/),
    )
  })

  const INSIDE = [
    "return import('internal/modules/esm/loader')",
    "return import('node:internal/modules/esm/loader')",
    "return require('internal/modules/esm/loader')",
    "return require('node:internal/modules/esm/loader')",
    "return require('internal/test/binding')",
    "return require('module')._load('internal/modules/esm/loader')",
    "return process.getBuiltinModule('internal/modules/esm/loader').getOrInitializeCascadedLoader",
    "return process.binding('module_wrap')",
  ]
  const triedInside = triedAll(
    Object.fromEntries(INSIDE.map((body) => [body, `return (async () => { ${body} })().then(() => ['let in'], () => ['refused'])`])),
  )

  it.each(INSIDE)('is not let at what Node is made of: %s', async (body) => {
    expect(await triedInside(body)).toEqual(['refused'])
  })

  const NO_TEXTS = [
    "new String('node:fs')",
    "{ toString: () => 'node:fs' }",
    "['node:fs']",
    "new String('node:internal/test/binding')",
    "Object.assign(() => {}, { toString: () => 'fs' })",
    'undefined',
  ]
  const triedNoText = triedAll(
    Object.fromEntries(
      NO_TEXTS.map((named) => [
        named,
        `const attempt = (load) => { try { return Object.keys(load(${named})).length } catch (error) { return error.code + ' ' + error.message } }
        return [attempt((name) => require('module')._load(name)), attempt((name) => process.getBuiltinModule(name))]`,
      ]),
    ),
  )

  it.each(NO_TEXTS)('is refused what a module is named by that is no text: %s', async (named) => {
    const message = expect.stringMatching(/^PERMISSION_DENIED .*'curious' may not import by what is no text/) as string
    expect(await triedNoText(named)).toEqual([message, message])
  })

  it.each([
    ["m._findPath = () => 'fs'", "m._load('made-up')"],
    ["m._pathCache['made-up\\0' + m._resolveLookupPaths('made-up', null).join('\\0')] = 'fs'", "m._load('made-up')"],
    ["m._findPath = () => ({ toString: () => 'fs' })", "m._load('made-up')"],
  ])('is refused files though it says itself where modules lie: %s', async (change, load) => {
    const body = `const m = require('module'), { _findPath: found } = m
      try { ${change}; return Object.keys(${load}).length } catch (error) { return error.code } finally { m._findPath = found }`
    expect(await tried(body)).toMatch(/^(PERMISSION_DENIED|MODULE_NOT_FOUND|ERR_INVALID_ARG_TYPE)$/)
  })

  it.each<[string, string, string]>([
    ['the iterator of arrays', 'Array.prototype[Symbol.iterator] = function* () { yield own }', 'secret'],
    ['what is an instance', 'Object.defineProperty(Uint8Array, Symbol.hasInstance, { value: () => false })', 'Buffer.from(secret)'],
    ['how bytes become text', 'const bytes = Buffer.from(secret); bytes.toString = bytes.utf8Slice = () => own', 'bytes'],
    [
      'what a URL says',
      '',
      "{ href: 'file://x', protocol: 'file:', host: '', hostname: '', get pathname() { return looks++ < 1 ? own : secret } }",
    ],
    ['where a path leads', "try { require('path').toNamespacedPath = () => secret } catch {}", 'own'],
  ])('reads no file from beyond its folder by the loader of CommonJS though it changes %s', async (_what, change, path) => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'secret.txt'), '"the secret"')
    const body = `
      const Module = require('module'), module = new Module('x'), { prototype } = Array, iterator = prototype[Symbol.iterator]
      const secret = ${JSON.stringify(join(folder, 'secret.txt'))}, own = import.meta.url.slice(7)
      let looks = 0
      module._compile = (code) => { module.got = code }
      try { ${change}; Module._extensions['.js'](module, ${path}) } catch (error) { module.got = error.code } finally { prototype[Symbol.iterator] = iterator }
      return module.got`
    expect(await tried(body)).not.toContain('the secret')
    expect(await tried(body.replace("['.js']", "['.json']").replace('return module.got', 'return module.exports'))).not.toContain(
      'the secret',
    )
  })

  const CALLS = [
    "Module._extensions['.js'](module, Buffer.from(own))",
    'module._compile({}, own)',
    "module._compile('1', {})",
    'Module._stat({})',
  ]
  const triedCall = triedAll(
    Object.fromEntries(
      CALLS.map((call) => [
        call,
        `const Module = require('module'), module = new Module('x'), own = import.meta.url.slice(7)\nreturn ${call}`,
      ]),
    ),
  )

  it.each(CALLS)('ends no process by what is no text: %s', async (call) => {
    expect(await triedCall(call)).toEqual(refused(/(load a file that is named by|compile what is) no text|use module\._stat/))
  })

  it('ends no process by what it wraps modules in', async () => {
    const body = `const Module = require('module'), module = new Module('x')
      const compiled = (wrap) => { Module.wrap = wrap; try { module._compile('1', '/x.js'); return 'compiled' } catch (error) { return error.name } }
      return [compiled(() => ({})), compiled(() => Symbol()), compiled((script) => '(function () { ' + script + ' })')]`
    expect(await tried(body)).toEqual(['SyntaxError', 'TypeError', 'compiled'])
  })

  it('gets no socket by what streams are made of', async () => {
    const body = `try { return typeof Object.getPrototypeOf(require('_stream_wrap')) } catch (error) { return error.code }`
    expect(await tried(body)).toMatch(/^(PERMISSION_DENIED|MODULE_NOT_FOUND)$/)
  })

  it('imports no code and no data from beyond its folder', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'a.json'), '{"a":1}')
    writeFileSync(join(folder, 'a.mjs'), 'export default 1')
    writeFileSync(join(folder, 'a.cjs'), 'module.exports = 1')
    const attempts = [
      `import(${JSON.stringify(pathToFileURL(join(folder, 'a.json')).href)}, { with: { type: 'json' } })`,
      `import(${JSON.stringify(pathToFileURL(join(folder, 'a.mjs')).href)})`,
      `import(${JSON.stringify(join(folder, 'a.cjs'))})`,
      `require(${JSON.stringify(join(folder, 'a.json'))})`,
      `require(${JSON.stringify(join(folder, 'a.cjs'))})`,
    ]
    const body = `const attempt = async (act) => { try { return (await act()).default } catch (error) { return error.code } }
      return [${attempts.map((each) => `await attempt(async () => ${each})`).join(', ')}]`
    const DENIED = expect.stringMatching(/^(PERMISSION_DENIED|ERR_ACCESS_DENIED)$/) as string
    expect(await tried(body)).toEqual(attempts.map(() => DENIED))
    expect(await tried(body, { fs: { read: [], write: [join(folder, 'elsewhere')] } })).toEqual(attempts.map(() => DENIED))
  })

  it('does not load with a static import of a closed module, and the error says which and what would allow it', async () => {
    await expect(gated(`import os from 'node:os'\n${pluginCode({ start: '' })}`)).rejects.toMatchObject({
      code: 'PLUGIN_LOAD',
      message: expect.stringMatching(/'curious' may not import 'node:os'.*"builtin:os".*plugin\.json/) as string,
    })
  })

  it('gets an error with a code, the plugin and the door', async () => {
    const found = await tried(
      'try { process.kill(process.pid, 0) } catch ({ name, code, plugin, details }) { return { name, code, plugin, details } }',
    )
    expect(found).toEqual({ name: 'PlugbayError', code: 'PERMISSION_DENIED', plugin: 'curious', details: { door: 'use process.kill()' } })
  })

  it('is told of to the kernel, once for many times', async () => {
    const { attempt, denied } = await gated(
      pluginCode({
        health:
          "for (let i = 0; i < 100; i++) { try { process.kill(1) } catch {} await import('node:os').catch(() => {}) } return { healthy: true }",
      }),
    )
    await attempt()
    await eventually(() => expect(denied.slice(0, 2)).toEqual(['use process.kill() use 1', 'builtin:os import 1']))
    expect(denied.length).toBeLessThan(20)
  })

  const MODULES = [
    'child_process',
    'cluster',
    'crypto',
    'dgram',
    'dns',
    'http',
    'http2',
    'https',
    'inspector',
    'net',
    'os',
    'repl',
    'tls',
    'trace_events',
    'tty',
    'v8',
    'vm',
    'wasi',
    'worker_threads',
    'zlib',
  ]
  const triedModule = triedAll(
    Object.fromEntries(
      MODULES.flatMap((name) => [
        [`import ${name}`, `return import('node:${name}')`],
        [`require ${name}`, `return require('${name}')`],
      ]),
    ),
  )

  it.each(MODULES)('may not import %s', async (name) => {
    for (const how of ['import', 'require'])
      expect(await triedModule(`${how} ${name}`)).toEqual(refused(new RegExp(`import 'node:${name}'`)))
  })

  it('may import what reaches nothing', async () => {
    const names = ['assert', 'async_hooks', 'buffer', 'events', 'path', 'perf_hooks', 'stream/promises', 'timers/promises', 'url', 'util']
    const body = `for (const name of ${JSON.stringify(names)}) { await import('node:' + name); require(name) }\nreturn 'all of them'`
    expect(await tried(body)).toBe('all of them')
  })

  it('imports its own modules as Node does', async () => {
    const found = await tried(
      `const attempt = async (act) => { try { return (await act()).default } catch (error) { return error.code } }
      return [
        await attempt(() => import('./marked.mjs')),
        await attempt(() => import('./marked.mjs?again')),
        await attempt(() => import('./data.json', { with: { type: 'json' } })),
        await attempt(() => import('./own.mjs', { with: { type: 'json' } })),
        await attempt(() => import('./own.mjs', { with: { odd: 'x' } })),
        await attempt(() => import('./none.mjs')),
      ]`,
      {},
      { 'marked.mjs': '\uFEFFexport default 1', 'own.mjs': 'export default 2', 'data.json': '{ "three": 3 }' },
    )
    const MISFIT = expect.stringMatching(/^ERR_IMPORT_(ASSERTION_TYPE_FAILED|ATTRIBUTE_TYPE_INCOMPATIBLE)$/) as string
    expect(found).toEqual([1, 1, { three: 3 }, MISFIT, 'ERR_IMPORT_ATTRIBUTE_UNSUPPORTED', 'ERR_MODULE_NOT_FOUND'])
  })

  it('gets the module it asks for though it changes what a loader would use', async () => {
    const beyond = join(emptyFolder(), 'beyond.mjs')
    writeFileSync(beyond, "export default 'beyond'")
    const found = await tried(
      `const elsewhere = ${JSON.stringify(pathToFileURL(beyond).href)}
      const changes = [
        [globalThis, 'URL', class extends URL { constructor() { super(elsewhere) } }],
        [String.prototype, 'startsWith', () => true],
        [Reflect, 'ownKeys', () => []],
        [Reflect, 'apply', () => elsewhere],
        [require('url'), 'fileURLToPath', () => ${JSON.stringify(beyond)}],
      ].map(([target, key, value]) => [target, key, target[key], value])
      for (const [target, key, , value] of changes) target[key] = value
      try {
        return (await import('./own.mjs')).default
      } finally {
        for (const [target, key, value] of changes) target[key] = value
      }`,
      {},
      { 'own.mjs': "export default 'own'" },
    )
    expect(found).toBe('own')
  })

  it('gets the module it asks for, and sees nothing of how it is read, though all objects answer a promise or say what Node asks of them', async () => {
    const found = await tried(
      `const seen = []
      const lies = { url: 'node:fs', responseURL: 'node:fs', format: 'builtin' }
      const { ownKeys, getPrototypeOf } = Reflect
      // Not of what the plugin itself waits for: promises and functions.
      const answers = (object) => typeof object === 'object' && object !== null && !(object instanceof Promise)
      const then = {
        configurable: true,
        get() {
          if (!answers(this)) return undefined
          seen.push(ownKeys(this).join())
          return (resolve) => { delete Object.prototype.then; resolve({ __proto__: null, ...lies }); Object.defineProperty(Object.prototype, 'then', then) }
        },
      }
      const imported = []
      for (const [specifier, options] of [['./own.mjs'], ['./own.cjs'], ['./data.json', { with: { type: 'json' } }], ['plugbay/plugin'], ['./typed.ts']]) {
        Object.defineProperty(Object.prototype, 'then', then)
        for (const [key, value] of Object.entries(lies)) Object.defineProperty(Object.prototype, key, { value, writable: true, configurable: true })
        try {
          const { default: exported, definePlugin } = await import(specifier, options)
          imported.push(exported ?? typeof definePlugin)
        } catch (error) {
          imported.push(error.message)
        } finally {
          for (const key of ['then', ...Object.keys(lies)]) delete Object.prototype[key]
        }
      }
      return [imported, seen]`,
      {},
      {
        'own.mjs': "export default 'module'",
        'own.cjs': "module.exports = 'common'",
        'data.json': '"data"',
        'typed.ts': "export default 'typed' as string",
      },
    )
    expect(found).toEqual([['module', 'common', 'data', 'function', 'typed'], []])
  })

  it('finds no other way into modules: what loads them is locked', async () => {
    const found = await tried(`
      const Module = require('module')
      const outcomes = {}
      const attempt = (name, act) => { try { outcomes[name] = act() ?? 'done' } catch (error) { outcomes[name] = error.message } }
      attempt('hijacked', () => { Module._resolveFilename = () => 'fs'; return Object.keys(require('./nothing')).length })
      attempt('replaced', () => { Module._load = () => 'mine'; return 'replaced' })
      attempt('redefined', () => { Object.defineProperty(Module, '_load', { value: 1 }); return 'redefined' })
      attempt('register', () => Module.register('data:text/javascript,'))
      attempt('registerHooks', () => (Module.registerHooks ?? Module.register)({}))
      const named = await import('node:module')
      attempt('named', () => named.register('data:text/javascript,'))
      return outcomes`)
    expect(found).toEqual({
      hijacked: expect.stringMatching(/read only|Cannot assign/) as string,
      replaced: expect.stringMatching(/read only|Cannot assign/) as string,
      redefined: expect.stringMatching(/redefine/) as string,
      register: refused(/use module\.register\(\)/),
      registerHooks: refused(/use module\.register/),
      named: refused(/use module\.register\(\)/),
    })
  })

  it('is not told by what finds modules whether a file is there that it may not read', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'there.js'), '')
    writeFileSync(join(folder, 'package.json'), '{}')
    const found = await tried(
      `const { default: Module } = await import('node:module')
      const { pathToFileURL } = await import('node:url')
      const folder = ${JSON.stringify(folder)}
      const outcome = (act) => { try { return act() ?? 'none' } catch (error) { return error.code } }
      const finds = (name) => [
        outcome(() => Module._findPath(folder + '/' + name, ['/'])),
        outcome(() => Module._findPath('./' + name, [folder])),
        outcome(() => Module._findPath(name, [folder])),
        outcome(() => require.resolve(folder + '/' + name)),
        Module.findPackageJSON ? outcome(() => Module.findPackageJSON('./' + name, pathToFileURL(folder + '/x.js'))) : 'PERMISSION_DENIED',
      ]
      const own = [Module._findPath('./common', [import.meta.dirname ?? '']), Module._findPath('common.cjs', [import.meta.dirname ?? ''])]
      return [finds('there.js'), finds('gone.js'), own.map((path) => typeof path === 'string' ? path.slice(-10) : path), require.resolve('./common.cjs').slice(-10)]`,
      {},
      { 'common.cjs': '', 'common.js': '' },
    )
    // Among many places Node's own model refuses before the gate does, where it lies beneath.
    const among = expect.toSatisfy((outcome) => outcome === false || outcome === 'ERR_ACCESS_DENIED') as unknown
    const hidden = ['PERMISSION_DENIED', 'PERMISSION_DENIED', among, 'PERMISSION_DENIED', 'PERMISSION_DENIED']
    expect((found as unknown[])[0]).toEqual((found as unknown[])[1])
    expect(found).toEqual([hidden, hidden, ['/common.js', 'common.cjs'], 'common.cjs'])
  })

  it('tells of no denial when an import leads to nothing, and finds in the working folder what it may read', async () => {
    const body = `const failed = (name) => import(name).then(() => 'loaded', (error) => error.code)
      const { default: Module } = await import('node:module')
      return [await failed('./none.js'), await failed('../none/none.js'), await failed('no-such-package'), typeof Module._findPath('./package.json', ['.'])]`
    const code = pluginCode({ health: `return { healthy: true, value: await (async () => {\n${body}\n})() }` })
    const missing = Array.from({ length: 3 }, () => 'ERR_MODULE_NOT_FOUND')
    const closed = await gated(code)
    expect(await closed.attempt()).toMatchObject({ value: [...missing, 'boolean'] })
    expect(closed.denied).toEqual([])
    const granted = await gated(code, { fs: { read: [process.cwd()], write: [] } })
    expect(await granted.attempt()).toMatchObject({ value: [...missing, 'string'] })
  })

  it.skipIf(!('registerHooks' in nodeModule))('loads no module of Node that was never looked up', async () => {
    const hooks = new URL('../../dist/sandbox/guest/module-hooks.js', import.meta.url)
    const worker = new Worker(
      `const { registerHooks } = require('node:module')
      const check = (name) => { if (name === 'node:dgram') throw new Error('checked ' + name) }
      import(${JSON.stringify(hooks.href)}).then(async ({ prepareModules }) => {
        prepareModules({ name: 'p', pluginModule: 'file:///none.js', needsHooks: false }, check)
        registerHooks({ resolve: (name, context, next) => name === 'by-another-way' ? { url: 'node:dgram', format: 'builtin', shortCircuit: true } : next(name, context) })
        return import('by-another-way')
      }).then(() => 'loaded', (error) => error.message).then((told) => require('node:worker_threads').parentPort.postMessage(told))`,
      { eval: true },
    )
    expect(await once(worker, 'message')).toEqual(['checked node:dgram'])
    await worker.terminate()
  })

  it('holds though the plugin changes what every check would use', async () => {
    const found = await tried(`
      const changes = [
        [Set.prototype, 'has', () => true],
        [Array.prototype, 'includes', () => true],
        [String.prototype, 'startsWith', () => false],
        [String.prototype, 'slice', () => 'path'],
        [Reflect, 'apply', () => ({})],
        [require('module'), 'isBuiltin', () => false],
      ].map(([target, key, value]) => [target, key, target[key], value])
      for (const [target, key, , value] of changes) target[key] = value
      Object.prototype.fs = true
      try {
        require('fs')
        return 'required'
      } catch (error) {
        return error.message
      } finally {
        // What it returns crosses to the kernel by these too.
        for (const [target, key, value] of changes) target[key] = value
        delete Object.prototype.fs
      }`)
    expect(found).toEqual(refused(/import 'node:fs'/))
  })
})

it('a plugin gets at nothing of what loads its modules by the functions that Node calls there', async () => {
  const found = await tried(`
    const taken = new Set(), { apply } = Reflect
    const take = (...all) => { for (const one of all) if (one && typeof one === 'object') taken.add(one.constructor?.name) }
    for (const key of ['apply', 'bind', 'call']) {
      const own = Function.prototype[key]
      const changed = function (...args) { take(this, ...args); return apply(own, this, args) }
      for (const change of [() => { Function.prototype[key] = changed }, () => Object.defineProperty(Function.prototype, key, { value: changed })]) {
        try { change() } catch {}
      }
    }
    await import('data:text/javascript,')
    await import('node:os').catch(() => {})
    const inherits = () => {}
    inherits.bind = 'its own'
    return [[...taken], inherits.bind]`)
  expect(found).toEqual([[], 'its own'])
})

it('a plugin gets at nothing of what its modules are made of by what is asked of every promise', async () => {
  const found = await tried(
    `class Own extends Promise { then(...handlers) { return super.then(...handlers) } }
    const odd = Object.assign(Object.create(Promise.prototype), { then: (resolve) => resolve('its own'), constructor: Object })
    const taken = new Set()
    const { apply, defineProperty } = Reflect
    const { then } = Promise.prototype
    let own = false
    const look = (promise) => {
      own = true
      apply(then, promise, [(value) => { if (Object.hasOwn(value ?? {}, 'module') || value?.link) taken.add(value) }, () => {}])
      own = false
    }
    const changed = function (...handlers) { look(this); return apply(then, this, handlers) }
    class Taker extends Promise {
      constructor(run) { super((resolve, reject) => run((value) => { if (value instanceof Promise) look(value); resolve(value) }, reject)) }
    }
    const refused = [
      () => defineProperty(Promise.prototype, 'constructor', { get: () => (own ? Promise : undefined) }),
      () => defineProperty(Promise.prototype, 'then', { value: changed }),
      () => defineProperty(Promise, Symbol.species, { get: () => (own ? Promise : Taker) }),
    ].map((change) => !change())
    await import('./outer.mjs')
    return [taken.size, refused, await Own.resolve(1).then((one) => one + 1), await odd]`,
    {},
    { 'outer.mjs': "import './inner.mjs'\nimport 'node:util'", 'inner.mjs': 'export default 1' },
  )
  expect(found).toEqual([0, [true, true, true], 2, 'its own'])
})

it('a plugin gets at no wire of its thread by the prototypes that Node dispatches by', async () => {
  const { attempt } = await gated(
    pluginCode({
      health: `if (globalThis.stolen) return { healthy: true, value: globalThis.stolen.size }\n${PORT_THIEF}\nreturn { healthy: true }`,
    }),
  )
  await attempt()
  expect(await attempt()).toMatchObject({ value: 0 })
})

describe('AsyncLocalStorage', () => {
  it('keeps a store for what follows, as Node has it', async () => {
    const found = await tried(`
      const { AsyncLocalStorage, AsyncResource } = require('async_hooks')
      const storage = new AsyncLocalStorage()
      const other = new AsyncLocalStorage()
      const later = (read = () => storage.getStore()) => new Promise((resolve) => setTimeout(() => setImmediate(() => resolve(read())), 1))
      const before = storage.getStore() ?? 'none'
      const ran = await storage.run('run', async (...args) => [args.join(), storage.getStore(), await later(), other.getStore() ?? 'none'], 1, 2)
      const within = storage.run('outer', () => [storage.run('inner', () => storage.getStore()), other.run(1, () => storage.getStore()), storage.getStore()])
      const bound = storage.run('bound', () => AsyncLocalStorage.bind(() => storage.getStore()))
      const resource = storage.run('resource', () => new AsyncResource('x'))
      const snapshot = storage.run('snapshot', () => AsyncLocalStorage.snapshot())
      const exited = await storage.run('exit', async () => [await storage.exit(() => later(() => storage.getStore() ?? 'none')), storage.getStore()])
      const thrown = (() => { try { storage.run('thrown', () => { throw new Error(storage.getStore()) }) } catch (error) { return error.message } })()
      const entered = await (async () => { await later(); storage.enterWith('entered'); await later(); return storage.getStore() })()
      const promised = storage.run('promised', () => Promise.resolve().then(() => storage.getStore()))
      const after = storage.getStore() ?? 'none'
      class Own extends AsyncLocalStorage { twice() { return [this.getStore(), this.getStore()] } }
      const own = new Own()
      const disabled = storage.run('disabled', () => { storage.disable(); return storage.getStore() ?? 'none' })
      return [before, ran, within, bound(), resource.runInAsyncScope(() => storage.run('other', bound)), snapshot((x) => x + storage.getStore(), 'in '), exited, thrown,
        entered, await promised, after, own.run(7, () => own.twice()), disabled, AsyncLocalStorage.name]`)
    expect(found).toEqual([
      'none',
      ['1,2', 'run', 'run', 'none'],
      ['inner', 'outer', 'outer'],
      'bound',
      'bound',
      'in snapshot',
      ['none', 'exit'],
      'thrown',
      'entered',
      'promised',
      'none',
      [7, 7],
      'none',
      'AsyncLocalStorage',
    ])
  })

  it.each([
    ['its methods', 'AsyncLocalStorage.prototype._propagate = storage._propagate = (...all) => all.forEach(take)'],
    [
      'the keys of its stores',
      'for (const key of keys) Object.defineProperty(Object.prototype, key, { get() { take(this) }, set() { take(this) }, configurable: true })',
    ],
    [
      "what the ports' prototypes inherit from",
      'Object.setPrototypeOf(EventTarget.prototype, new Proxy({}, { get: (_, key, port) => void take(port), set: (_, key, value, port) => { take(port); return true } }))',
    ],
  ])('leads to no wire of its thread by %s', async (_, how) => {
    const { attempt } = await gated(
      pluginCode(
        { health: 'storage.enterWith({}); setTimeout(() => {}, 1); await 1; return { healthy: true, value: ports.size }' },
        `import { AsyncLocalStorage } from 'node:async_hooks'
        const ports = new Set()
        const take = (found) => { if (found instanceof MessagePort) ports.add(found) }
        const storage = new AsyncLocalStorage()
        const keys = Reflect.ownKeys(storage).flatMap((key) => (typeof storage[key] === 'symbol' ? [storage[key]] : []))
        try { ${how} } catch {}
        storage.enterWith({})`,
      ),
    )
    await attempt()
    expect(await attempt()).toMatchObject({ value: 0 })
  })
})

describe('process', () => {
  const NAMES = [
    'kill',
    '_kill',
    'binding',
    '_linkedBinding',
    'dlopen',
    'loadEnvFile',
    'execve',
    'chdir',
    'umask',
    'setuid',
    'setgid',
    '_getActiveHandles',
    '_rawDebug',
  ]
  const triedName = triedAll(
    Object.fromEntries(
      NAMES.map((name) => [
        name,
        `if (!('${name}' in process)) return []
        const outcomes = []
        const attempt = (act) => { try { act(); outcomes.push('done') } catch (error) { outcomes.push(error.message) } }
        attempt(() => process.${name}('x', 0))
        const named = await import('node:process')
        attempt(() => named.${name}('x', 0))
        attempt(() => named.default.${name}('x', 0))
        attempt(() => { 'use strict'; process.${name} = () => {}; process.${name}() })
        return outcomes`,
      ]),
    ),
  )

  it.each(NAMES)('%s is closed, by every name it has', async (name) => {
    for (const message of (await triedName(name)) as string[]) expect(message).toMatch(/may not (use process\.|load a native)|read only/)
  })

  it('has the environment that is granted and nothing else', async () => {
    process.env['GATE_TEST_A'] = 'a'
    process.env['GATE_TEST_B'] = 'b'
    onTestFinished(() => {
      delete process.env['GATE_TEST_A']
      delete process.env['GATE_TEST_B']
    })
    expect(await tried('return Object.keys(process.env)')).toEqual([])
    expect(await tried("return (await import('node:process')).env.GATE_TEST_A ?? 'none'")).toBe('none')
    expect(await tried('return { ...process.env }', { env: ['GATE_TEST_A'] })).toEqual({ GATE_TEST_A: 'a' })
    expect(await tried('return { ...process.env }', { env: ['GATE_TEST_*'] })).toEqual({ GATE_TEST_A: 'a', GATE_TEST_B: 'b' })
  })

  it('tells no secret by its report, and its title is not to be changed', async () => {
    expect(await tried('try { return process.report.getReport() } catch (error) { return error.message }')).toEqual(
      refused(/use process\.report/),
    )
    const title = process.title
    expect(await tried("try { process.title = 'mine'; return process.title } catch (error) { return error.message }")).toEqual(
      refused(/set process\.title/),
    )
    expect(process.title).toBe(title)
  })

  it('hears of its own uncaught errors', async () => {
    expect(
      await tried(`const caught = new Promise((resolve) => process.setUncaughtExceptionCaptureCallback(resolve))
        setTimeout(() => { throw new Error('mine') })
        const { message } = await caught
        process.setUncaughtExceptionCaptureCallback(null)
        return message`),
    ).toBe('mine')
    expect(await tried('try { process.report.getReport = 1 } catch (error) { return error.name }')).toBe('TypeError')
  })

  it('still ends its own thread', async () => {
    const { host, attempt } = await gated(pluginCode({ health: 'process.exit(3)' }))
    attempt().catch(() => {})
    expect(await host.exited).toMatchObject({ expected: false, code: 3 })
  })

  it('still crashes with its own error', async () => {
    const { host, attempt } = await gated(pluginCode({ health: "setImmediate(() => { throw new RangeError('mine') })" }))
    attempt().catch(() => {})
    expect(await host.exited).toMatchObject({ expected: false, error: { name: 'RangeError', message: 'mine' } })
  })
})

describe('globals', () => {
  const EXPRESSIONS = [
    'fetch("http://127.0.0.1:1")',
    'new WebSocket("ws://127.0.0.1:1")',
    'new BroadcastChannel("x")',
    'new SharedArrayBuffer(8)',
    'new ArrayBuffer(8, { maxByteLength: 16 })',
    'new (class extends ArrayBuffer {})(8, { maxByteLength: 16 })',
    'new new Uint8Array(1).buffer.constructor(8, { maxByteLength: 16 })',
    'Reflect.construct(ArrayBuffer, [8, { maxByteLength: 16 }], Map)',
    'new WebAssembly.Memory({ initial: 1, maximum: 1 }).toResizableBuffer()',
    'navigator.locks.request("x", () => {})',
    'new CompressionStream("gzip")',
    'new DecompressionStream("gzip")',
    'new (require("stream/web").CompressionStream)("gzip")',
    'new (await import("node:stream/web")).DecompressionStream("gzip")',
    'new (await import("node:stream/web")).default.CompressionStream("gzip")',
  ]
  const triedExpression = triedAll(Object.fromEntries(EXPRESSIONS.map((expression) => [expression, `await ${expression}`])))

  it.each(EXPRESSIONS)('%s is refused', async (expression) => {
    const absent = /is not defined|undefined|is not a function/
    expect(await triedExpression(expression)).toMatch(new RegExp(`may not use|${absent.source}`))
  })

  it('reject where what they stand for rejects, and name the host that was asked for', async () => {
    const { attempt, denied } = await gated(
      pluginCode({
        health: `
        const told = []
        for (const target of ['http://one.example:81/x', new URL('https://two.example'), new Request('http://three.example'), 'no url']) {
          const answer = fetch(target)
          told.push(await answer.catch(({ code, message }) => code + ' ' + message))
        }
        return { healthy: true, value: told }`,
      }),
    )
    const { value } = (await attempt()) as { value: string[] }
    const hosts = ['one.example:81', 'two.example', 'three.example', '<host>']
    for (const [index, host] of hosts.entries()) {
      expect(value[index]).toMatch(/^PERMISSION_DENIED Plugin 'curious' may not use fetch\./)
      expect(value[index]).toContain(`"net:${host}"`)
    }
    await eventually(() => expect(denied).toEqual(hosts.map((host) => `net:${host} connect 1`)))
  })

  it('leave no way to shared memory through what is left of it', async () => {
    const found = await tried(`
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
      try { return new memory.buffer.constructor(8).byteLength } catch (error) { return error.message }`)
    expect(found).toEqual(refused(/use SharedArrayBuffer/))
  })

  it('make buffers as ever, but for those that can be resized', async () => {
    const { value } = (await tried(`
      class Own extends ArrayBuffer {}
      const own = new Own(3), { buffer } = new Uint8Array(4)
      let asked = 0
      const fixed = [
        new ArrayBuffer(5),
        new ArrayBuffer(5, { maxByteLength: undefined }),
        new ArrayBuffer(5, null),
        new ArrayBuffer(5, 9),
        new ArrayBuffer(5, { get maxByteLength() { return asked++ === 0 ? undefined : 16 } }),
      ]
      let called
      try { ArrayBuffer(1) } catch (error) { called = error.name }
      return { value: {
        fixed: fixed.map((made) => [made.byteLength, made.resizable]),
        kinds: [own instanceof Own, own instanceof ArrayBuffer, buffer instanceof ArrayBuffer, buffer.constructor === ArrayBuffer],
        cut: [own.slice(1) instanceof Own, own.slice(1).byteLength, structuredClone(own).byteLength],
        shown: [ArrayBuffer.name, ArrayBuffer.length, ArrayBuffer.isView(new DataView(buffer)), ArrayBuffer[Symbol.species] === ArrayBuffer, called],
      } }`)) as { value: unknown }
    expect(value).toEqual({
      fixed: Array.from({ length: 5 }, () => [5, false]),
      kinds: [true, true, true, true],
      cut: [true, 2, 3],
      shown: ['ArrayBuffer', 1, true, true, 'TypeError'],
    })
  })

  it('make memories and instances of WebAssembly as ever', async () => {
    const { value } = (await tried(`
      const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 109, 2, 0])
      const { Memory, Instance, Module, instantiate } = WebAssembly
      class Own extends Memory {}
      const own = new Own({ initial: 1 }), module = new Module(bytes), instance = new Instance(module)
      const failing = (act) => { try { act() } catch (error) { return error.name } }
      const both = await instantiate(bytes), { m } = both.instance.exports
      return { value: {
        kinds: [own instanceof Own, own instanceof Memory, instance instanceof Instance, instance.exports.m instanceof Memory, m instanceof Memory],
        made: [own.buffer.byteLength, m.constructor === Memory, instance.constructor === Instance, m.grow(1)],
        asked: [Object.keys(both), await instantiate(module) instanceof Instance, await instantiate(new Uint8Array(4)).catch((error) => error.name)],
        shown: [Memory, Instance, instantiate].map((made) => [made.name, made.length]),
        failing: [failing(() => Memory({ initial: 1 })), failing(() => new Memory()), failing(() => new Instance({})), failing(() => new instantiate(bytes))],
      } }`)) as { value: unknown }
    expect(value).toEqual({
      kinds: [true, true, true, true, true],
      made: [65_536, true, true, 1],
      asked: [['module', 'instance'], true, 'CompileError'],
      shown: [
        ['Memory', 1],
        ['Instance', 1],
        ['instantiate', 1],
      ],
      failing: ['TypeError', 'TypeError', 'TypeError', 'TypeError'],
    })
  })

  it('suspend no call of WebAssembly: each takes mappings of the process', async () => {
    expect(await tried("return ['promising', 'Suspending'].filter((name) => name in WebAssembly)")).toEqual([])
  })

  it('wait at shared memory so many times at once, and again when they are done', async () => {
    const { made, told, answers } = (await tried(`
      const memory = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer)
      const round = () => {
        const waits = []
        let told
        try { for (;;) waits.push(Atomics.waitAsync(memory, 0, 0).value) } catch (error) { told = error.message }
        Atomics.notify(memory, 0)
        return { waits, told }
      }
      const { waits, told } = round()
      const answers = [...new Set(await Promise.all(waits))]
      return { made: [waits.length, round().waits.length], told, answers }`)) as Record<string, unknown>
    expect(made).toEqual([10_000, 10_000])
    expect(answers).toEqual(['ok'])
    expect(told).toEqual(refused(/wait by Atomics\.waitAsync\(\) more than 10000 times at once/))
  })

  it.runIf('URLPattern' in globalThis)('match by URLPattern as ever', async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the types of Node 22 do not have it.
    const match = (Pattern: any): unknown => {
      const input = 'https://host.example/books/12'
      class Own extends (Pattern as new (given: object) => { test(input: string): boolean }) {
        own(): boolean {
          return this.test(input)
        }
      }
      const one = new Pattern({ pathname: '/books/:id' })
      const own = new Own({ pathname: '/:all*' })
      const failing = (act: () => unknown): unknown => {
        try {
          return act()
        } catch (error) {
          return (error as Error).name
        }
      }
      return {
        made: [one.test(input), { ...one.exec(input).pathname.groups }, one.protocol, one.pathname, one.hasRegExpGroups, own.own()],
        kinds: [
          one instanceof Pattern,
          own instanceof Own,
          own instanceof Pattern,
          one.constructor === Pattern,
          Pattern.name,
          Pattern.length,
        ],
        failing: [failing(() => Pattern({})), failing(() => new Pattern('(')), failing(() => Pattern.prototype.pathname)],
      }
    }
    expect(await tried(`return (${match.toString()})(URLPattern)`)).toEqual(
      match((globalThis as unknown as Record<string, unknown>)['URLPattern']),
    )
    expect(await tried("return (await import('node:url')).URLPattern === URLPattern")).toBe(true)
    const getter = "Object.getOwnPropertyDescriptor(URLPattern.prototype, 'protocol').get"
    expect(await tried(`try { Reflect.construct(${getter}, []) } catch (error) { return error.name }`)).toBe('TypeError')
  })

  it('find in buffers as ever, by an encoding and from an offset', async () => {
    const find = (Bytes: typeof Buffer): unknown[] => {
      const bytes = Bytes.from('abcabc')
      return [
        ...[bytes.indexOf('c'), bytes.indexOf('c', 3), bytes.indexOf('c', -1), bytes.indexOf(98), bytes.indexOf(Bytes.from('bc'), 2)],
        ...[bytes.lastIndexOf('a'), bytes.lastIndexOf('a', 2), bytes.lastIndexOf('abc', -4), bytes.lastIndexOf('a', undefined)],
        ...[
          bytes.includes('cab'),
          bytes.includes('x'),
          bytes.indexOf('6361', 'hex'),
          bytes.indexOf('6361', 1, 'hex'),
          bytes.includes('Yw', 'base64'),
        ],
      ]
    }
    expect(await tried(`return (${find.toString()})(Buffer)`)).toEqual(find(Buffer))
    const error = (bytes: string): string => `try { ${bytes} } catch (error) { return [error.message] }`
    expect(await tried(error("Buffer.from('a').indexOf('x', 0, {})"))).toEqual([expect.stringMatching(/encoding/)])
    expect(await tried(error("Buffer.prototype.lastIndexOf.call({ length: 'x' }, 'x')"))).toEqual([expect.stringMatching(/Buffer/)])
    expect(await tried("return Object.defineProperty(Buffer.from('aba'), 'length', { value: 'x' }).lastIndexOf(97)")).toBe(2)
  })

  it('compress for a plugin that may have zlib', async () => {
    const body = `
      const { DecompressionStream: same } = await import('node:stream/web')
      const packed = new Blob(['in and out']).stream().pipeThrough(new CompressionStream('gzip'))
      return [await new Response(packed.pipeThrough(new DecompressionStream('gzip'))).text(), same === DecompressionStream]`
    expect(await tried(body, { builtins: ['zlib'] })).toEqual(['in and out', true])
    expect(await tried('try { new CompressionStream("gzip") } catch (error) { return error.message }')).toContain('"builtin:zlib"')
  })

  it('give random values, without the rest of crypto', async () => {
    expect(
      await tried('return [crypto.randomUUID().length, crypto.getRandomValues(new Uint8Array(4)).length, typeof crypto.subtle]'),
    ).toEqual([36, 4, 'undefined'])
    expect(await tried('return typeof crypto.subtle', { builtins: ['crypto'] })).toBe('object')
    expect(await tried('return typeof Crypto')).toBe('undefined')
  })
})

describe('a histogram', () => {
  it('records, adds and tells as Node has it', async () => {
    const use = ({ createHistogram, performance }: typeof import('node:perf_hooks')): unknown => {
      const [one, other] = [createHistogram(), createHistogram({ lowest: 1, highest: 1_000 })]
      for (const value of [1, 2, 3n, 400]) one.record(value)
      other.record(7)
      one.add(other)
      performance.timerify(() => {}, { histogram: other })()
      return {
        numbers: [one.count, one.min, one.max, one.mean, one.percentile(50), one.countBigInt, other.count],
        percentiles: [...one.percentiles.entries()],
        shown: [JSON.stringify(one), String(one)],
      }
    }
    const body = `const hooks = await import('node:perf_hooks'); return (${use.toString()})(hooks)`
    expect(await tried(body)).toEqual(use(await import('node:perf_hooks')))
    const shown = "const { inspect } = await import('node:util'); return inspect((await import('node:perf_hooks')).createHistogram())"
    expect(await tried(shown)).toMatch(/^Histogram \{/)
    const delay = `
      const delay = (await import('node:perf_hooks')).monitorEventLoopDelay({ resolution: 1 })
      const enabled = [delay.enable(), delay.enable()]
      while (delay.count === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      return [...enabled, delay.max > 0, delay.disable()]`
    expect(await tried(delay)).toEqual([true, false, true, true])
  })

  it('shows nothing of what it is made of', async () => {
    const body = `
      const hooks = await import('node:perf_hooks')
      const { inspect } = await import('node:util')
      const histogram = hooks.createHistogram()
      const symbols = []
      for (let at = histogram; at; at = Object.getPrototypeOf(at)) symbols.push(...Object.getOwnPropertySymbols(at).map(String))
      const asked = []
      const curious = new Proxy(() => {}, { get: (_, key) => { if (typeof key === 'symbol') asked.push(String(key)) } })
      const acts = [() => histogram.add(curious), () => hooks.performance.timerify(() => {}, { histogram: curious }), () => hooks.timerify(() => {}, { histogram: curious })]
      const failed = acts.map((act) => { try { act() } catch (error) { return error.name } })
      const same = histogram[inspect.custom](-1, {}) === histogram
      const { Map } = globalThis
      globalThis.Map = class {}
      try { histogram.percentiles } catch (error) { failed.push(error.name) }
      globalThis.Map = Map
      return { symbols, asked, failed, same }`
    expect(await tried(body)).toEqual({
      symbols: [expect.stringMatching(/inspect/)],
      asked: [],
      failed: ['TypeError', 'TypeError', 'TypeError', 'TypeError'],
      same: true,
    })
  })
})

describe('standard streams', () => {
  it('lead to the log; nothing is no line', async () => {
    const { attempt, lines } = await gated(
      pluginCode({
        health:
          "process.stdout.write('one\\n'); process.stderr.write('two\\n'); process.stderr.write(''); console.log('three'); return { healthy: true }",
      }),
    )
    await attempt()
    await eventually(() =>
      expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual(['info one', 'error two', 'info three']),
    )
  })

  const STREAMS = [
    'process.stdout',
    'process.stderr',
    'process.stdin',
    "(await import('node:console')).default._stdout",
    "(await import('node:process')).stdout",
  ]
  const triedStream = triedAll(
    Object.fromEntries(
      STREAMS.map((stream) => [
        stream,
        `const symbols = []
        for (let at = ${stream}; at; at = Object.getPrototypeOf(at)) symbols.push(...Object.getOwnPropertySymbols(at).map(({ description }) => description))
        return symbols`,
      ]),
    ),
  )

  it.each(STREAMS)('%s holds no port to the host', async (stream) => {
    expect(await triedStream(stream)).toEqual(expect.not.arrayContaining(['kPort']))
  })
})

describe('the port under the standard streams', () => {
  it.each([
    ['an unknown order', "{ type: 'bogus' }"],
    ['null', 'null'],
    ['a number', '1'],
    ['output that is none', "{ type: 'stdioPayload', stream: 'stdout', chunks: [{ chunk: 1, encoding: 5 }] }"],
    ['a wish of no stream', "{ type: 'stdioWantsMoreData', stream: 'nothing' }"],
  ])('ends the thread that sends %s, not its host', async (_what, order) => {
    const host = new ThreadHost(new Standby(0))
    onTestFinished(() => host.kill('the test is over'))
    const channel = await host.start(new AbortController().signal)
    const talk = new Conversation(channel, { request: () => undefined }, "plugin 'forger'")
    const code = pluginCode({
      health: `
        for (let at = process.stdout; at; at = Object.getPrototypeOf(at)) {
          const port = Object.getOwnPropertySymbols(at).find(({ description }) => description === 'kPort')
          if (port) process.stdout[port].postMessage(${order})
        }
        return { healthy: true }`,
    })
    const path = writePlugin(emptyFolder(), 'forger', { code })
    await talk.request('load', loadRequest('forger', path))
    talk.request('health').catch(() => {})
    expect(await host.exited).toMatchObject({ expected: false, error: { code: 'PROTOCOL' } })
  })
})

describe('a grant', () => {
  it('of domain needs no other, and opens no other', async () => {
    const body = `const domain = (await import('node:domain')).create()
      const caught = new Promise((resolve) => domain.on('error', resolve))
      domain.run(() => setTimeout(() => { throw new Error('in a domain') }))
      const { message } = await caught
      try { return [message, (await import('node:async_hooks')).createHook({})] } catch (error) { return [message, error.message] }`
    expect(await tried(body, { builtins: ['domain'] })).toEqual(['in a domain', refused(/use async_hooks\.createHook/)])
  })

  it('of files opens fs', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'given.txt'), 'given')
    const body = `return (await import('node:fs/promises')).readFile(${JSON.stringify(join(folder, 'given.txt'))}, 'utf8')`
    expect(await tried(body, { fs: { read: [folder], write: [] } })).toBe('given')
    expect(
      await tried(`return require('fs').readFileSync(${JSON.stringify(join(folder, 'given.txt'))}, 'utf8')`, {
        fs: { read: [folder], write: [] },
      }),
    ).toBe('given')
  })

  it.each<[string, Partial<Grants>, string]>([
    ['a module', { builtins: ['os'] }, "typeof (await import('node:os')).cpus"],
    ['the network', { net: ['*'] }, "typeof (await import('node:net')).connect"],
    [
      'the network, for fetch',
      { net: ['*'] },
      "await fetch('http://127.0.0.1:1').then(String, ({ message }) => message === 'fetch failed' ? 'function' : message)",
    ],
    ['children', { child: true }, "typeof (await import('node:child_process')).spawn"],
    ['workers', { worker: true }, "typeof (await import('node:worker_threads')).Worker"],
  ])('of %s opens it', async (_what, grants, expression) => {
    expect(await tried(`return ${expression}`, grants)).toBe('function')
  })

  it("of workers does not hand over the kernel's wire", async () => {
    expect(
      await tried("const { parentPort, workerData } = await import('node:worker_threads'); return [parentPort, workerData]", {
        worker: true,
      }),
    ).toEqual([null, null])
  })
})

describe('files', () => {
  /** A folder with what the expressions are about. */
  const furnished = (): string => {
    const folder = emptyFolder()
    for (const name of ['given', 'other']) mkdirSync(join(folder, name))
    for (const name of ['given/a.json', 'other/a.json']) writeFileSync(join(folder, name), '{"a":1}')
    symlinkSync(join(folder, 'other'), join(folder, 'given/link'))
    symlinkSync(join(folder, 'given'), join(folder, 'into'))
    symlinkSync(join(folder, 'other/new.txt'), join(folder, 'given/dangling'))
    for (const name of ['from/sub', 'to', 'links']) mkdirSync(join(folder, 'given', name), { recursive: true })
    writeFileSync(join(folder, 'given/from/sub/planted.txt'), 'planted')
    symlinkSync(join(folder, 'other'), join(folder, 'given/to/sub'))
    symlinkSync(join(folder, 'other'), join(folder, 'given/links/out'))
    return folder
  }
  /** Tries each expression with `fs`, `fsp` and the folder before it, in one thread, and tells what came of it. */
  const attempted = (attempts: [folder: string, expression: string][], grants: Partial<Grants>): Promise<unknown[]> => {
    const acts = attempts.map(([folder, expression]) => `await attempt(${JSON.stringify(folder)}, (folder) => ${expression})`)
    const body = `
      const fs = require('fs'), fsp = await import('node:fs/promises')
      const attempt = async (folder, act) => { try { await act(folder); return 'done' } catch (error) { return error.code ?? error.message } }
      return [${acts.join(', ')}]`
    return tried(body, grants) as Promise<unknown[]>
  }
  /** Of expressions that lie in one folder. */
  const outcomes = (expressions: string[], grants: (folder: string) => Partial<Grants>): Promise<unknown[]> => {
    const folder = furnished()
    return attempted(
      expressions.map((expression) => [folder, expression]),
      grants(folder),
    )
  }
  /** Of each of many, with a folder of its own: for what changes nothing but files. */
  const outcomeOf = (expressions: string[]) => {
    let found: Promise<unknown[]> | undefined
    const all = (): Promise<unknown[]> => {
      const attempts = expressions.map((expression): [string, string] => [furnished(), expression])
      const given = attempts.map(([folder]) => join(folder, 'given'))
      return attempted(attempts, { fs: { read: given, write: given } })
    }
    return async (expression: string): Promise<unknown> => (await (found ??= all()))[expressions.indexOf(expression)]
  }
  const within = (folder: string) => ({ fs: { read: [join(folder, 'given')], write: [join(folder, 'given')] } })
  const reading = (folder: string) => ({ fs: { read: [join(folder, 'given')], write: [] } })
  const DENIED = expect.stringMatching(/^(PERMISSION_DENIED|ERR_ACCESS_DENIED)$/) as string

  const GRANTED = [
    "fs.readFileSync(folder + '/given/a.json')",
    "fsp.readFile(folder + '/given/a.json')",
    'fsp.readdir(folder + "/given")',
    "fs.writeFileSync(folder + '/given/b', 'b')",
    "fsp.appendFile(folder + '/given/b', 'b')",
    "fsp.mkdir(folder + '/given/new/deep', { recursive: true })",
    "fs.renameSync(folder + '/given/a.json', folder + '/given/c')",
    "fsp.open(folder + '/given/a.json', 'r+').then(async (file) => { await file.sync(); await file.close() })",
    "new Promise((done, failed) => fs.createReadStream(folder + '/given/a.json').on('error', failed).on('close', done).resume())",
    'fs.realpathSync.native(folder + "/given")',
  ]
  const ofGranted = outcomeOf(GRANTED)

  it.each(GRANTED)('that are granted: %s', async (expression) => {
    expect(await ofGranted(expression)).toBe('done')
  })

  const OTHERS = [
    "fs.readFileSync(folder + '/other/a.json')",
    "fs.readFileSync(new URL('file://' + folder + '/other/a.json'))",
    "fs.readFileSync(Buffer.from(folder + '/other/a.json'))",
    "fs.readFileSync(folder + '/given/../other/a.json')",
    "fs.readFileSync(folder + '/given/link/a.json')",
    "fs.readFileSync(folder + '/given/link/../other/a.json')",
    "fs.writeFileSync(folder + '/given/link/../b', 'b')",
    "fs.mkdirSync(folder + '/given/new/../../other/new', { recursive: true })",
    "fs.mkdirSync(folder + '/given/new/../link/../made', { recursive: true })",
    "fsp.readFile(folder + '/other/a.json')",
    'fsp.readdir(folder + "/other")',
    "fs.writeFileSync(folder + '/other/b', 'b')",
    "fs.openSync(folder + '/other/b', 'w')",
    "fs.openSync(folder + '/other/a.json', fs.constants.O_RDWR)",
    "fsp.copyFile(folder + '/other/a.json', folder + '/given/b')",
    "fsp.rename(folder + '/given/a.json', folder + '/other/b')",
    "new Promise((done, failed) => fs.createReadStream(folder + '/other/a.json').on('error', failed).on('close', done).resume())",
    'fs.realpathSync.native(folder + "/other")',
    "require(folder + '/other/a.json')",
    "require('module')._extensions['.json']({}, folder + '/other/a.json')",
    "fsp.readFile(folder + '/given/../given-more')",
    "fs.readFileSync({ href: 'file://' + folder + '/other/a.json', protocol: 'file:', hostname: '', pathname: folder + '/other/a.json' })",
  ]
  const ofOthers = outcomeOf(OTHERS)

  it.each(OTHERS)('that are not granted: %s', async (expression) => {
    expect(await ofOthers(expression)).toEqual(DENIED)
  })

  const WITHIN = [
    "fs.symlinkSync('b', folder + '/given/l') ?? fs.writeFileSync(folder + '/given/l', 'b') ?? fs.readFileSync(folder + '/given/b')",
    "fs.mkdirSync(folder + '/given/deep') ?? fs.symlinkSync('../a.json', folder + '/given/deep/l') ?? fs.renameSync(folder + '/given/deep/l', folder + '/given/l') ?? fs.readFileSync(folder + '/given/l')",
    "fs.unlinkSync(folder + '/given/link')",
    "fsp.lstat(folder + '/given/link')",
    "fs.readFileSync(Buffer.from(folder + '/given/a.json'))",
    "fs.readFileSync(new URL('file://' + folder + '/given/a.json'))",
    "fs.readFileSync(folder + '/given/a.json', { flag: 'r' })",
    "fsp.open(folder + '/given/a.json').then(async (file) => { await fsp.readFile(file, 'utf8'); await file.close() })",
    "fsp.open(folder + '/given/new.txt', 'w').then(async (file) => { await fsp.writeFile(file, 'new'); await fsp.appendFile(file, 'er'); await file.close() })",
    "fs.mkdtempSync(folder + '/given/made-')",
    "fs.mkdtempSync(folder + '/given/')",
    "fsp.cp(folder + '/given/links', folder + '/given/../given/copied', { recursive: true, filter: (from) => !/out$/.test(from) })",
    "fs.cpSync(folder + '/given/a.json', folder + '/given/copied.json')",
    "new Promise((done, failed) => fs.cp(folder + '/given/a.json', folder + '/given/copied.json', (error) => error ? failed(error) : done()))",
    "fs.rmSync(folder + '/given', { recursive: true })",
    'Promise.resolve(fs.existsSync({}))',
  ]
  const ofWithin = outcomeOf(WITHIN)

  it.each(WITHIN)('that are granted, and what is in them: %s', async (expression) => {
    expect(await ofWithin(expression)).toBe('done')
  })

  const WAYS: [string, string][] = [
    ['a link that leads to nothing yet', "fs.writeFileSync(folder + '/given/dangling', 'b')"],
    ['a link that leads to nothing yet, with promises', "fsp.writeFile(folder + '/given/dangling', 'b')"],
    ['a copy onto such a link', "fs.copyFileSync(folder + '/given/a.json', folder + '/given/dangling')"],
    ['a link of its own that leads out', "fs.symlinkSync(folder + '/other/b', folder + '/given/l')"],
    ['a link of its own that leads out, with promises', "fsp.symlink(folder + '/other/a.json', folder + '/given/l')"],
    ['a link of its own that leads up', "fs.symlinkSync('../../other', folder + '/given/l')"],
    [
      'a link in place of its folder',
      "fs.rmSync(folder + '/given', { recursive: true }) ?? fs.symlinkSync(folder + '/other', folder + '/given') ?? fs.readFileSync(folder + '/given/a.json')",
    ],
    ['a copied folder with a link in the way', "fs.cpSync(folder + '/given/from', folder + '/given/to', { recursive: true })"],
    ['a copied folder with a link in the way, with promises', "fsp.cp(folder + '/given/from', folder + '/given/to', { recursive: true })"],
    ['the copy of what links lead to', "fs.cpSync(folder + '/given/links', folder + '/given/out', { recursive: true, dereference: true })"],
    [
      'bytes that tell another text',
      "fs.readFileSync(Object.assign(Buffer.from(folder + '/other/a.json'), { utf8Slice: () => folder + '/given/a.json' }))",
    ],
    ['a folder beside its own', "fs.mkdtempSync(folder + '/given')"],
    ['a folder beside its own, with promises', "fsp.mkdtemp(folder + '/given')"],
    ['a link from beyond that leads in', "fs.unlinkSync(folder + '/into')"],
    ['a link from beyond that leads in, by rename', "fs.renameSync(folder + '/given/a.json', folder + '/into')"],
  ]
  const ofWays = outcomeOf(WAYS.map(([, expression]) => expression))

  it.each(WAYS)('that are not granted are not reached by %s', async (_what, expression) => {
    expect(await ofWays(expression)).toEqual(DENIED)
  })

  it.each([
    [
      'what is an instance',
      "(Object.defineProperty(Uint8Array, Symbol.hasInstance, { value: () => false }), fs.readFileSync(Buffer.from(folder + '/other/a.json')))",
    ],
    ['the class of bytes', "(globalThis.Uint8Array = class {}, fs.readFileSync(Buffer.from(folder + '/other/a.json')))"],
  ])('that are not granted are not reached by %s, changed', async (_what, expression) => {
    expect(await outcomes([expression], within)).toEqual([DENIED])
  })

  describe('behind a link that leads out', () => {
    /** What each expression returns with `fs`, `fsp`, and the folder `given` in which links lead out and to a folder within. */
    const found = (expressions: string[], may: 'read' | 'write' = 'write') => {
      const folder = emptyFolder()
      const given = join(folder, 'given')
      for (const name of ['given/deep/deeper', 'other/secret']) mkdirSync(join(folder, name), { recursive: true })
      for (const name of ['given/a', 'given/deep/deeper/b', 'other/hidden', 'other/secret/hidden']) writeFileSync(join(folder, name), '')
      symlinkSync(join(folder, 'other'), join(given, 'deep/out'))
      symlinkSync(join(given, 'deep/deeper'), join(given, 'in'))
      const body = `
        const fs = require('fs'), fsp = await import('node:fs/promises'), folder = ${JSON.stringify(folder)}, given = folder + '/given'
        const attempt = async (act) => { try { return await act() } catch (error) { return error.code ?? error.message } }
        const asked = (options) => new Promise((done, failed) => fs.readdir(given, options, (error, names) => (error ? failed(error) : done(names))))
        const start = (watcher, ...args) => {
          const prototype = Object.getPrototypeOf(watcher)
          const [name] = Object.getOwnPropertySymbols(prototype).filter(({ description }) => /^kFS(Stat)?Watch(er)?Start$/.test(description))
          return String(watcher[name](...args))
        }
        return [${expressions.map((expression) => `await attempt(() => ${expression})`).join(', ')}]`
      return tried(body, { fs: { read: [given], write: may === 'write' ? [given] : [] } }) as Promise<unknown[]>
    }
    const NAMES = ['a', 'deep', 'deep/deeper', 'deep/deeper/b', 'deep/out', 'in', 'in/b']
    const sorted = (names: unknown): unknown => (Array.isArray(names) ? names.toSorted() : names)

    it.each(['read', 'write'] as const)('are not listed, and all others are, where it may %s', async (may) => {
      const lists = [
        'fs.readdirSync(given, { recursive: true })',
        "fs.readdirSync(Buffer.from(given), { recursive: true, encoding: 'utf8' })",
        "fs.readdirSync(given, { recursive: true, encoding: 'buffer' }).map(String)",
        'fs.readdirSync(given, Object.create(null, { recursive: { value: true } }))',
        'fsp.readdir(given, { recursive: true })',
        "fsp.readdir(given + '/../given/', { recursive: true })",
        'asked({ recursive: true })',
      ]
      expect((await found(lists, may)).map(sorted)).toEqual(lists.map(() => NAMES))
    })

    it('are not listed with their types', async () => {
      const lists = [
        'fs.readdirSync(given, { recursive: true, withFileTypes: true })',
        'await fsp.readdir(given, { recursive: true, withFileTypes: true })',
        'await asked({ recursive: true, withFileTypes: true })',
        'await (async (entries = []) => { for await (const entry of await fsp.opendir(given, { recursive: true })) entries.push(entry); return entries })()',
      ]
      const places = "map(({ parentPath, name }) => (parentPath + '/' + name).slice(given.length + 1))"
      // Whether a link within is followed is for Node to say.
      const those = `${places}.filter((place) => place !== 'in/b')`
      const expected = NAMES.filter((name) => name !== 'in/b')
      expect((await found(lists.map((list) => `(async () => (${list}).${those})()`))).map(sorted)).toEqual(lists.map(() => expected))
    })

    it('are not told by what watches, asked for another', async () => {
      const watches = [
        "start(new (fs.watch(given).unref().constructor)(), folder + '/other', true, false, 'utf8')",
        "new (fs.watch(given).unref()._handle.constructor)().start(folder + '/other', true, false, 'utf8')",
        "start(new (fs.watchFile(given + '/a', () => {}).unref().constructor)(false), folder + '/other/hidden', true, 50)",
      ]
      expect(await found(watches)).toEqual(watches.map(() => DENIED))
    })

    it.runIf('readSyncRecursive' in Dir.prototype)('are not told by a folder that is read, asked for another', async () => {
      const reading = "fs.opendirSync(given, { recursive: true }).readSyncRecursive({ parentPath: folder, name: 'other' })"
      expect(await found([reading])).toEqual([DENIED])
    })

    it('are refused, and the kernel is told so', async () => {
      const folder = emptyFolder()
      for (const name of ['given', 'other']) mkdirSync(join(folder, name))
      symlinkSync(join(folder, 'other'), join(folder, 'given/out'))
      const { attempt, denied } = await gated(
        pluginCode(
          { health: `return { healthy: fs.readdirSync(${JSON.stringify(join(folder, 'given'))}, { recursive: true }).length === 1 }` },
          "import fs from 'node:fs'",
        ),
        { fs: { read: [join(folder, 'given')], write: [] } },
      )
      expect(await attempt()).toMatchObject({ healthy: true })
      await eventually(() => expect(denied).toContainEqual(expect.stringContaining(`fs:${join(folder, 'given/out')} read`)))
    })
  })

  it('are those that were looked at, though an object says something else the next time', async () => {
    const url =
      "{ href: 'file://x', protocol: 'file:', host: '', hostname: '', get pathname() { return folder + (looks++ < 1 ? '/given/a.json' : '/other/b.json') } }"
    const before = 'let looks = 0; const outcome = {};'
    const folder = emptyFolder()
    for (const name of ['given', 'other']) mkdirSync(join(folder, name))
    writeFileSync(join(folder, 'given/a.json'), 'given')
    writeFileSync(join(folder, 'other/b.json'), 'other')
    const body = `const fs = require('fs'), folder = ${JSON.stringify(folder)}; ${before}
      for (const end of ['given/a.json', 'other/b.json']) {
        looks = end === 'given/a.json' ? -Infinity : 0
        try { outcome[end] = fs.readFileSync(${url}, 'utf8') } catch (error) { outcome[end] = error.code }
      }
      const flags = { get flag() { return looks++ < 1 ? 'r' : 'w' } }
      looks = 0
      try { fs.readFileSync(folder + '/given/a.json', flags) } catch {}
      try { fs.readFileSync(folder + '/given/a.json', { flag: 'w' }); outcome.emptied = true } catch (error) { outcome.emptied = error.code }
      outcome.left = fs.readFileSync(folder + '/given/a.json', 'utf8')
      return outcome`
    const found = (await tried(body, { fs: { read: [join(folder, 'given')], write: [] } })) as Record<string, unknown>
    expect(Object.values(found)).not.toContain('other')
    expect(found).toMatchObject({ 'given/a.json': 'given', emptied: DENIED, left: 'given' })
  })

  it('stay where they are though the plugin changes how paths are read', async () => {
    const found = await outcomes(
      [
        "(() => { require('path').toNamespacedPath = () => folder + '/other/a.json'; return fs.writeFileSync(folder + '/given/a.json', 'b') })()",
      ],
      within,
    )
    expect(found).toEqual([expect.stringMatching(/read only/) as string])
  })

  it('that may be written may not be read by the same descriptor', async () => {
    const writing = (folder: string) => ({ fs: { read: [], write: [join(folder, 'given')] } })
    expect(
      await outcomes(
        [
          "fs.openSync(folder + '/given/a.json', 'r+')",
          "fs.openSync(folder + '/given/b', 'w')",
          "fsp.open(folder + '/given/a.json', fs.constants.O_RDWR)",
        ],
        writing,
      ),
    ).toEqual([DENIED, 'done', DENIED])
  })

  it('are not handed out by http2 to who was granted a host alone', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'secret.txt'), 'the secret')
    const body = `
      const http2 = require('http2'), server = http2.createServer()
      const path = ${JSON.stringify(join(folder, 'secret.txt'))}
      const said = await new Promise((done, failed) => {
        const tell = (stream, text) => { stream.respond(); stream.end(text) }
        server.on('stream', (stream) => {
          try { stream.respondWithFile(path, {}, { onError: (error) => tell(stream, error.code) }) } catch (error) { tell(stream, error.code) }
        })
        server.listen(0, '127.0.0.1', () => {
          const session = http2.connect('http://127.0.0.1:' + server.address().port).on('error', failed)
          let text = ''
          session.request({ ':path': '/' }).on('data', (chunk) => { text += chunk }).on('error', failed).on('end', () => { session.close(); done(text) })
        })
      })
      server.close()
      return said`
    expect(await tried(body, { net: ['127.0.0.1'], listen: ['127.0.0.1'] })).toEqual(DENIED)
  })

  it('are not quoted by an assertion that says it failed in one of them', async () => {
    const secret = join(emptyFolder(), 'secret.js')
    writeFileSync(secret, `${' '.repeat(40)}the.secret()`)
    const body = `
      const assert = require('assert'), Module = require('module'), module = new Module(${JSON.stringify(secret)}), said = []
      globalThis.fails = () => assert.ok(false)
      for (let at = 0; at < 60; at++) {
        try { module._compile(' '.repeat(at) + 'fails()', module.id) } catch (error) { said.push(error.message) }
        try { module._compile(' '.repeat(at) + "require('assert').ok(false)", module.id) } catch (error) { said.push(error.message) }
      }
      return said.filter((text) => text.includes('secret'))`
    expect(await tried(body)).toEqual([])
  })

  it('that may be read may not be written', async () => {
    expect(await outcomes(["fs.readFileSync(folder + '/given/a.json')", "fs.writeFileSync(folder + '/given/b', 'b')"], reading)).toEqual([
      'done',
      DENIED,
    ])
  })

  it.skipIf(process.versions.node.startsWith('20.'))('are closed by Node itself beneath the gate, with all else it knows', async () => {
    const found = await tried(
      "try { return [process.permission.has('fs.write'), process.permission.has('child'), process.permission.has('worker'), process.permission.has('fs.read', '/etc/passwd')] } catch (error) { return error.message }",
    )
    expect(found).toEqual([false, false, false, false])
  })

  it.skipIf(process.versions.node.startsWith('20.'))('are closed by Node itself in the folder that the process runs in', async () => {
    const folder = process.cwd()
    const found = await tried(
      `return ${JSON.stringify([folder, join(folder, 'package.json'), join(folder, 'src'), `${folder}-work`])}.map((path) => process.permission.has('fs.read', path))`,
    )
    expect(found).toEqual([false, false, false, false])
  })
})

describe('the source map that a module names', () => {
  const SECRET = JSON.stringify({
    version: 3,
    sources: ['secret.ts'],
    sourcesContent: ['TOPSECRET'],
    names: [],
    mappings: 'AAAA;AAAA;AAAA',
  })

  it.each([
    ['without grants', (): Partial<Grants> => ({})],
    ['where files are granted', (): Partial<Grants> => ({ fs: { read: [], write: [join(emptyFolder(), 'given')] } })],
  ])('is not shown to the plugin %s', async (_, grants) => {
    const secret = join(emptyFolder(), 'secret.json')
    writeFileSync(secret, SECRET)
    const body = `
      const { createRequire, SourceMap, ...members } = await import('node:module')
      const seen = [], { prototype } = SourceMap
      const attempt = (act) => { try { return String(act()) } catch (error) { return error.message } }
      const payload = Object.getOwnPropertyDescriptor(prototype, 'payload').get
      for (const name of ['findEntry', 'findOrigin']) {
        const old = prototype[name]
        attempt(() => { prototype[name] = function (...args) { seen.push(JSON.stringify(payload.call(this))); return old.apply(this, args) } })
        attempt(() => Object.defineProperty(prototype, name, { value(...args) { seen.push(JSON.stringify(payload.call(this))); return old.apply(this, args) } }))
      }
      attempt(() => Object.defineProperty(prototype, 'payload', { get() { seen.push(JSON.stringify(payload.call(this))); return payload.call(this) } }))
      attempt(() => require('./mapped.cjs').stack())
      seen.push(attempt(() => JSON.stringify(members.findSourceMap(require.resolve('./mapped.cjs'))?.payload)))
      return seen`
    const seen = await tried(body, grants(), {
      'mapped.cjs': `exports.stack = () => new Error('x').stack\n//# sourceMappingURL=${secret}\n`,
    })
    expect(seen).toEqual([refused(/use module\.findSourceMap\(\)/)])
  })
})

describe('no new door', () => {
  const names = (list: string) => `Array.from(new Set(${list})).sort()`
  const unjudged = async (expression: string, judged: readonly string[]) => {
    const found = (await tried(`return ${names(expression)}`, { builtins: ['vm'] })) as string[]
    const known = new Set(judged)
    return found.filter((name) => !known.has(name))
  }
  const ALL =
    '(start) => { const names = []; for (let at = start; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) names.push(...Object.getOwnPropertyNames(at)); return names }'

  it('among the built-in modules: each is open, or opened by a grant', () => {
    const judged = new Set([...OPEN, ...Object.values(BY_GRANT).flat(), ...CLOSED])
    expect(builtinModules.map((name) => name.replace(/^node:/, '')).filter((name) => !judged.has(name))).toEqual([])
  })

  it('among the members of process', async () => {
    expect(await unjudged(`(${ALL})(process)`, [...OPEN_OF_PROCESS, ...REPLACED_OF_PROCESS, ...CLOSED_OF_PROCESS])).toEqual([])
  })

  it('among the globals, those of the language aside', async () => {
    const ofNode = `(${ALL})(globalThis).filter((name) => !require('vm').runInNewContext('Object.getOwnPropertyNames(globalThis)').includes(name))`
    expect(await unjudged(ofNode, [...OPEN_GLOBALS, ...CLOSED_GLOBALS])).toEqual([])
  })
})
