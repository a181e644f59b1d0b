/** What a plugin may do: the grammar, the defaults, roles, the operator's grants, and the decisions. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkManifest, type Manifest } from '#src/kernel/manifest/manifest.js'
import { resolveOptions } from '#src/kernel/options/options.js'
import { assertRoles, grantsOf, permissionsOf } from '#src/kernel/permissions/permissions.js'
import { NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import { thrown } from '../../../support/thrown.js'

type Permissions = NonNullable<Manifest['permissions']>

const root = join(import.meta.dirname, 'hello')
const dataDir = join(import.meta.dirname, 'data')

const sourceOf = (manifest: object) => ({
  name: 'hello',
  root,
  path: root,
  manifestPath: join(root, 'plugin.json'),
  manifest: checkManifest({ name: 'hello', ...manifest }, 'plugin.json'),
})

const setOf = (manifest: object, options: Parameters<typeof resolveOptions>[0] = {}) =>
  permissionsOf(sourceOf(manifest), resolveOptions({ ...options, dataDir }))

const allowed = (...permissions: Permissions) => setOf({ permissions })

const problemsOf = async (act: () => unknown): Promise<{ path: string; message: string }[]> =>
  (await thrown(act)).details?.['problems'] as { path: string; message: string }[]

describe('the grammar', () => {
  test('takes every kind, with its actions', () => {
    const permissions = [
      { resource: 'bus:user.*', actions: ['publish', 'subscribe'] },
      { resource: 'service:users', actions: ['provide', 'call'] },
      { resource: 'service:pay*', actions: ['call:refund', 'call:get*'] },
      { resource: 'fs:./cache', actions: ['read', 'write'] },
      { resource: 'fs:*', actions: ['read'] },
      { resource: 'net:*.example.com:443', actions: ['connect'] },
      { resource: 'net:[::1]:80', actions: ['connect'] },
      { resource: 'env:APP_*', actions: ['read'] },
      { resource: 'builtin:node:dns', actions: ['import'] },
      { resource: 'child', actions: ['use'] },
      { resource: 'worker', actions: ['*'] },
      { resource: 'addons', actions: ['use'] },
      { resource: 'tasks', actions: ['use'] },
    ]
    expect(checkManifest({ name: 'hello', permissions }, 'plugin.json').permissions).toEqual(permissions)
  })

  test.each([
    ['file:./data', ['read'], 'resource', "names the kind 'file', which there is not."],
    ['servce:users', ['call'], 'resource', "Did you mean 'service'?"],
    ['bus', ['publish'], 'resource', "needs a pattern of topics after the colon, such as 'bus:user.*'"],
    ['bus:user..login', ['publish'], 'resource', 'has an empty segment'],
    ['bus:user*', ['publish'], 'resource', 'mixes a wildcard with other text'],
    ['service:us ers', ['call'], 'resource', 'takes letters, digits'],
    ['fs:./data/**', ['read'], 'resource', 'A folder stands for all in it'],
    ['net:https://example.com', ['connect'], 'resource', 'without a scheme or a path'],
    ['net:example.com:65536', ['connect'], 'resource', 'has a port above 65535'],
    ['env:A-B', ['read'], 'resource', "takes letters, digits and '_'"],
    ['builtin:dnss', ['import'], 'resource', "Did you mean 'dns'?"],
    ['child:ls', ['use'], 'resource', "takes no name: write 'child'"],
    ['bus:user.*', ['pubish'], 'actions[0]', "is no action on 'bus'. Did you mean 'publish'?"],
    ['fs:data', ['read', 'execute'], 'actions[1]', "There are: 'read', 'write' and '*'"],
    ['service:users', ['findById'], 'actions[0]', "'call:<method>'"],
    ['service:users', ['call:'], 'actions[0]', "needs one method after the colon, such as 'call:findById'"],
  ])('%s with %j: field, value and mend', async (resource, actions, field, text) => {
    const manifest = {
      name: 'hello',
      permissions: [
        { resource: 'child', actions: ['use'] },
        { resource, actions },
      ],
    }
    const error = await thrown(() => checkManifest(manifest, '/plugins/hello/plugin.json'))
    expect(error.code).toBe('MANIFEST_INVALID')
    expect(error.message).toContain('/plugins/hello/plugin.json')
    const problems = await problemsOf(() => checkManifest(manifest, 'plugin.json'))
    expect(problems).toEqual([expect.objectContaining({ path: `permissions[1].${field}`, message: expect.stringContaining(text) })])
  })

  test('of roles and grants is that of manifests; a role that there is not is told with the nearest', async () => {
    const act = () =>
      resolveOptions({
        roles: { reader: [{ resource: 'fss:x', actions: ['read'] }] },
        grants: { hello: { roles: ['raeder'], permissions: [{ resource: 'bus:x', actions: ['read'] }] } },
      })
    expect((await thrown(act)).code).toBe('OPTIONS_INVALID')
    expect((await problemsOf(act)).map(({ path, message }) => `${path}: ${message}`)).toEqual([
      expect.stringMatching(/^roles\.reader\[0\]\.resource: .*Did you mean 'fs'\?/),
      expect.stringMatching(/^grants\.hello\.permissions\[0\]\.actions\[0\]: 'read' is no action on 'bus'/),
      expect.stringMatching(/^grants\.hello\.roles\[0\]: there is no role 'raeder'\. Did you mean 'reader'\?/),
    ])
  })

  test('takes a thousand actions in one list, and of more than that says so alone', async () => {
    const listOf = (entries: number, actions: number, resource = 'service:users') =>
      Array.from({ length: entries }, (_, entry) => ({
        resource,
        actions: Array.from({ length: actions }, (__, at) => `call:m${entry}-${at}`),
      }))
    expect(sourceOf({ permissions: listOf(10, 100) }).manifest.permissions).toHaveLength(10)
    for (const permissions of [listOf(10, 101), listOf(1_001, 1), listOf(1, 1_001, 'builtin:no-such')])
      expect(await problemsOf(() => sourceOf({ permissions }))).toEqual([
        {
          path: 'permissions',
          message: expect.stringMatching(/at most 1000 actions, all its entries together, not 10\d\d\. Name a pattern/) as string,
        },
      ])
    expect((await problemsOf(() => resolveOptions({ roles: { all: listOf(2, 501) } }))).map(({ path }) => path)).toEqual(['roles.all'])
  })

  test('a role of the manifest that the options do not define is told with file, field and the nearest', async () => {
    const options = resolveOptions({ roles: { reader: [{ resource: 'fs:data', actions: ['read'] }] } })
    const error = await thrown(() => assertRoles(sourceOf({ roles: ['raeder'] }), options))
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', plugin: 'hello' })
    expect(error.message).toContain(
      `${join(root, 'plugin.json')} is not valid: roles[0]: there is no role 'raeder'. Did you mean 'reader'?`,
    )
  })
})

describe('without a word in the manifest', () => {
  test('bus and services are free, all else is closed', () => {
    const set = setOf({})
    expect(set.granted.permissions).toEqual([
      { resource: 'bus:**', actions: ['publish', 'subscribe'] },
      { resource: 'service:*', actions: ['provide', 'call'] },
    ])
    expect(grantsOf(set)).toEqual(NO_GRANTS)
    expect(set.mayPublish('anything.at.all')).toBe(true)
    expect(set.maySubscribe('**')).toBe(true)
    expect(set.mayProvide('users')).toBe(true)
    expect(set.mayCall('users', 'remove')).toBe(true)
    expect(set.has('fs:/etc/passwd', 'read')).toBe(false)
    expect(set.has('fs:./index.js', 'read'), 'its own folder').toBe(true)
    expect(set.has('fs:./index.js', 'write')).toBe(false)
    expect(set.has('child', 'use')).toBe(false)
  })

  test('what a thousand permissions let a plugin call is soon found for each method of a service', () => {
    const set = allowed({ resource: 'service:big*', actions: Array.from({ length: 999 }, (_, i) => `call:x${i}`).concat('call:read*') })
    const began = performance.now()
    let may = 0
    for (let i = 0; i < 100; i++) for (let k = 0; k < 999; k++) if (set.mayCall(`big-${i}`, `m${k}`)) may++
    expect(may).toBe(0)
    expect([set.mayCall('big', 'x998'), set.mayCall('big', 'readAll'), set.mayCall('small', 'x1')]).toEqual([true, true, false])
    // The kernel asks for each line that it opens.
    expect(performance.now() - began).toBeLessThan(5_000)
  })

  test('naming the one leaves the other free', () => {
    const set = allowed({ resource: 'bus:user.*', actions: ['publish'] })
    expect(set.mayPublish('user.login')).toBe(true)
    expect(set.mayPublish('order.paid')).toBe(false)
    expect(set.maySubscribe('user.login')).toBe(false)
    expect(set.mayProvide('users')).toBe(true)
    expect(allowed({ resource: 'fs:data', actions: ['*'] }).mayPublish('order.paid')).toBe(true)
  })
})

describe('decisions', () => {
  test('a subscription is allowed when all it can match is', () => {
    const set = allowed({ resource: 'bus:user.*', actions: ['subscribe'] }, { resource: 'bus:order', actions: ['*'] })
    expect(['user.*', 'user.login', 'order'].map((pattern) => set.maySubscribe(pattern))).toEqual([true, true, true])
    expect(['user.**', '*', '**', 'order.*'].map((pattern) => set.maySubscribe(pattern))).toEqual([false, false, false, false])
  })

  test('a topic is decided as often as it is asked, also after many others', () => {
    const set = allowed({ resource: 'bus:a.*', actions: ['publish'] })
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 3_000; i++) expect([set.mayPublish(`a.${i}`), set.mayPublish(`b.${i}`)]).toEqual([true, false])
    }
  })

  test('services are allowed by name and method', () => {
    const set = allowed(
      { resource: 'service:users', actions: ['call:findById', 'call:list*'] },
      { resource: 'service:pay*', actions: ['call', 'provide'] },
    )
    expect(set.mayUse('users')).toBe(true)
    expect(set.mayUse('orders')).toBe(false)
    expect(['findById', 'listAll', 'remove'].map((method) => set.mayCall('users', method))).toEqual([true, true, false])
    expect(set.mayCall('payments', 'refund')).toBe(true)
    expect(set.mayProvide('payments')).toBe(true)
    expect(set.mayProvide('users')).toBe(false)
    expect(set.has('service:users', 'call')).toBe(false)
    expect(set.has('service:users', 'call:findById')).toBe(true)
    expect(set.has('service:payments', '*')).toBe(true)
  })

  test('has answers for every kind in the words of the manifest', () => {
    const set = allowed(
      { resource: 'fs:data', actions: ['*'] },
      { resource: 'fs:../shared', actions: ['read'] },
      { resource: 'net:api.example.com', actions: ['connect'] },
      { resource: 'net:*.example.org:443', actions: ['connect'] },
      { resource: 'net:[::1]:80', actions: ['listen'] },
      { resource: 'env:APP_*', actions: ['read'] },
      { resource: 'builtin:node:dns', actions: ['import'] },
      { resource: 'worker', actions: ['use'] },
    )
    const yes: [string, string][] = [
      ['fs:data', 'write'],
      [`fs:${join(dataDir, 'hello', 'deep', 'file')}`, 'write'],
      ['fs:../shared/x', 'read'],
      ['net:api.example.com:8080', 'connect'],
      ['net:a.b.example.org:443', 'connect'],
      ['net:A.Example.org.:443', 'connect'],
      ['net:[0:0::1]:80', 'listen'],
      ['env:APP_MODE', 'read'],
      ['builtin:dns', 'import'],
      ['builtin:node:dns', 'import'],
      ['worker', 'use'],
      ['worker', '*'],
    ]
    const no: [string, string][] = [
      ['fs:../shared/x', 'write'],
      ['fs:../shared', '*'],
      ['fs:../sharedness', 'read'],
      ['fs:*', 'read'],
      [`fs:${join(dataDir, 'hello2')}`, 'read'],
      ['net:example.com', 'connect'],
      ['net:api.example.com', 'listen'],
      ['net:[::1]:80', 'connect'],
      ['net:a.example.org', 'connect'],
      ['net:example.org:443', 'connect'],
      ['net:evil-example.org:443', 'connect'],
      ['env:HOME', 'read'],
      ['builtin:fs', 'import'],
      ['child', 'use'],
      ['toString', 'use'],
      ['bus:user', 'dance'],
    ]
    expect(yes.filter(([resource, action]) => !set.has(resource, action))).toEqual([])
    expect(no.filter(([resource, action]) => set.has(resource, action))).toEqual([])
  })

  test('who may connect to all hosts may listen on all addresses', () => {
    const set = allowed({ resource: 'net:*', actions: ['connect'] })
    expect(set.has('net:0.0.0.0:80', 'listen')).toBe(true)
    expect(set.has('net:*', '*')).toBe(true)
    expect(allowed({ resource: 'net:*', actions: ['listen'] }).has('net:example.com', 'connect')).toBe(false)
  })

  test('what the place enforces is plain data with absolute paths', () => {
    const set = allowed(
      { resource: 'fs:data', actions: ['*'] },
      { resource: 'fs:./templates', actions: ['read'] },
      { resource: 'net:api.example.com:443', actions: ['connect'] },
      { resource: 'net:0.0.0.0:8080', actions: ['listen'] },
      { resource: 'env:HOME', actions: ['read'] },
      { resource: 'builtin:node:dns', actions: ['import'] },
      { resource: 'child', actions: ['*'] },
    )
    expect(grantsOf(set)).toEqual({
      fs: { read: [join(dataDir, 'hello'), join(root, 'templates')], write: [join(dataDir, 'hello')] },
      net: ['api.example.com:443'],
      listen: ['0.0.0.0:8080'],
      env: ['HOME'],
      child: true,
      worker: false,
      addons: false,
      builtins: ['dns'],
    })
    expect(structuredClone(set.granted)).toEqual(set.granted)
  })
})

describe('roles and grants', () => {
  const roles = { reader: [{ resource: 'fs:data', actions: ['read'] }], greeter: [{ resource: 'bus:user.welcome', actions: ['publish'] }] }

  test("a role adds to the manifest's own permissions", () => {
    const set = setOf({ roles: ['reader', 'greeter'], permissions: [{ resource: 'fs:data', actions: ['write'] }] }, { roles })
    expect(set.granted.permissions).toEqual([
      { resource: 'service:*', actions: ['provide', 'call'] },
      { resource: `fs:${join(dataDir, 'hello')}`, actions: ['write', 'read'] },
      { resource: 'bus:user.welcome', actions: ['publish'] },
    ])
  })

  test('a role that is named over and over counts once, and there is an end to how many are', async () => {
    const named = setOf({ roles: Array.from({ length: 100 }, () => 'reader') }, { roles })
    expect(named.names('fs', 'read')).toEqual([join(dataDir, 'hello')])
    let looked = 0
    const counted = new Proxy([...(roles.reader as Permissions)], {
      get: (target, key, receiver) => {
        if (key === '0') looked++
        return Reflect.get(target, key, receiver) as unknown
      },
    })
    const options = { ...resolveOptions({ dataDir }), roles: { reader: counted } }
    permissionsOf(sourceOf({ roles: Array.from({ length: 100 }, () => 'reader') }), options)
    expect(looked).toBe(1)
    expect((await thrown(() => sourceOf({ roles: Array.from({ length: 101 }, () => 'reader') }))).code).toBe('MANIFEST_INVALID')
  })

  test.each([
    ['declares none', {}, {}, false],
    ['declares some', { tasks: { resize: 'resize.js' } }, {}, true],
    ['is in a process and declares some', { isolation: 'process', tasks: { resize: 'resize.js' } }, {}, true],
    ['declares some under a grant', { tasks: { resize: 'resize.js' } }, { grants: { hello: {} } }, true],
    [
      'its manifest has in a process under a grant',
      { isolation: 'process', tasks: { resize: 'resize.js' } },
      { grants: { hello: {} } },
      false,
    ],
    [
      'the operator has in a process under a grant',
      { tasks: { resize: 'resize.js' } },
      { grants: { hello: {} }, isolation: { hello: 'process' as const } },
      false,
    ],
    [
      'is granted its tasks in a process',
      { isolation: 'process' },
      { grants: { hello: { permissions: [{ resource: 'tasks', actions: ['use'] }] } } },
      true,
    ],
  ])('one that %s may use tasks or not', (_, manifest, options, may) => {
    expect(setOf(manifest, options).has('tasks', 'use')).toBe(may)
  })

  test("an operator's grant takes the place of the manifest, and is all there is", () => {
    const manifest = { roles: ['unknown'], permissions: [{ resource: 'child', actions: ['use'] }] }
    const set = setOf(manifest, {
      roles,
      grants: { hello: { roles: ['greeter'], permissions: [{ resource: 'env:HOME', actions: ['read'] }] } },
    })
    expect(set.granted.permissions).toEqual([
      { resource: 'env:HOME', actions: ['read'] },
      { resource: 'bus:user.welcome', actions: ['publish'] },
    ])
    expect(set.mayProvide('greeter')).toBe(false)
    expect(setOf({}, { grants: { hello: {} } }).granted.permissions).toEqual([])
    expect(setOf({}, { grants: { other: {} } }).mayPublish('x')).toBe(true)
  })
})
