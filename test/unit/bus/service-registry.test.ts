import { describe, expect, it, vi } from 'vitest'
import { type ServiceChange, type ServiceDeclaration, ServiceRegistry } from '#src/bus/service-registry.js'

const a = (name: string, version = '1.0.0', provider = 'p'): ServiceDeclaration => ({
  name,
  version,
  provider,
  methods: ['get'],
  handle: { name, version },
})
const code = (code: string, text = '') => expect.objectContaining({ code, message: expect.stringContaining(text) })
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('providing', () => {
  it('makes a service found until it is withdrawn', () => {
    const registry = new ServiceRegistry()
    const record = registry.provide(a('users'))
    expect(record).toMatchObject({ name: 'users', version: '1.0.0', provider: 'p', methods: ['get'], active: true })
    expect(registry.find('users')).toBe(record)
    record.withdraw()
    record.withdraw()
    expect(record.active).toBe(false)
    expect(registry.find('users')).toBeUndefined()
    expect(registry.list()).toEqual([])
  })

  it('keeps several versions of one name, and finds the highest in the range', () => {
    const registry = new ServiceRegistry()
    for (const version of ['1.2.0', '2.1.0', '1.10.0', '2.0.0']) registry.provide(a('users', version))
    registry.provide(a('greeter'))
    expect(registry.find('users')?.version).toBe('2.1.0')
    expect(registry.find('users', '^1.0.0')?.version).toBe('1.10.0')
    expect(registry.find('users', '~2.0')?.version).toBe('2.0.0')
    expect(registry.find('users', '>=3')).toBeUndefined()
    expect(registry.list().map(({ name, version }) => `${name} ${version}`)).toEqual([
      'greeter 1.0.0',
      'users 2.1.0',
      'users 2.0.0',
      'users 1.10.0',
      'users 1.2.0',
    ])
  })

  it('prefers a release, and takes a prerelease where there is nothing else', () => {
    const registry = new ServiceRegistry()
    registry.provide(a('users', '1.1.0-beta.1'))
    expect(registry.find('users')?.version).toBe('1.1.0-beta.1')
    expect(registry.find('users', '^1.0.0')?.version).toBe('1.1.0-beta.1')
    registry.provide(a('users', '1.0.0'))
    expect(registry.find('users')?.version).toBe('1.0.0')
    expect(registry.find('users', '>=1.1.0-beta')?.version).toBe('1.1.0-beta.1')
  })

  it('refuses the same version twice, naming who has it', () => {
    const registry = new ServiceRegistry()
    registry.provide(a('users', '1.0.0', 'one'))
    expect(() => registry.provide(a('users', '1.0.0', 'two'))).toThrow(code('SERVICE_DUPLICATE', "'one' already provides"))
    expect(() => registry.provide(a('users', '1.0.0', 'one'))).toThrow(code('SERVICE_DUPLICATE', 'itself'))
    expect(registry.list()).toHaveLength(1)
  })

  it.each([
    [{ name: '' }, "named ''"],
    [{ name: 'a b' }, "named 'a b'"],
    [{ name: 7 }, "named '7'"],
    [{ version: '1' }, "version '1'"],
    [{ version: '^1.0.0' }, "version '^1.0.0'"],
    [{ version: undefined }, "version 'undefined'"],
    [{ name: 'a'.repeat(257) }, 'has 257 characters, more than 256'],
    [{ version: `1.0.0-${'a'.repeat(257)}` }, 'is no semantic version'],
  ])('refuses %o', (part, text) => {
    const expected = code('name' in part ? 'SERVICE_NAME_INVALID' : 'SERVICE_VERSION_INVALID', text)
    expect(() => new ServiceRegistry().provide({ ...a('users'), ...part } as never)).toThrow(expected)
  })

  it.each([
    [Array.from({ length: 1_001 }, (_, i) => `m${i}`), 'has 1001 methods, more than 1000'],
    [['find', 'm'.repeat(257)], 'whose name has 257 characters, more than 256'],
    [['find', 5], 'whose name is 5, and no text'],
    ['find', 'has no list of methods'],
    [[], 'has no methods: nobody could call it'],
  ])('refuses methods that are too many, too long or none', (methods, text) => {
    expect(() => new ServiceRegistry().provide({ ...a('users'), methods } as never)).toThrow(code('SERVICE_SHAPE', text))
  })

  it('refuses a name or a range that is too long, or no text, wherever it is asked of', async () => {
    const registry = new ServiceRegistry()
    const long = 'a'.repeat(257)
    for (const name of [long, 5 as never]) {
      expect(() => registry.find(name)).toThrow(code('SERVICE_NAME_INVALID', 'The name of a service'))
      expect(() => registry.watch(name, () => {})).toThrow(code('SERVICE_NAME_INVALID', 'The name of a service'))
    }
    const range = '>=1.0.0 || '.repeat(25)
    expect(() => registry.find('users', range)).toThrow(code('SERVICE_VERSION_INVALID', 'is no range'))
    expect(() => registry.find('users', {} as never)).toThrow(code('SERVICE_VERSION_INVALID', 'is no range'))
    await expect(registry.wait('users', range)).rejects.toEqual(code('SERVICE_VERSION_INVALID', 'is no range'))
  })

  it('refuses a range that is none', async () => {
    const registry = new ServiceRegistry()
    expect(() => registry.find('users', 'newest')).toThrow(code('SERVICE_VERSION_INVALID', "'newest' is no range"))
    await expect(registry.wait('users', '^^1')).rejects.toEqual(code('SERVICE_VERSION_INVALID', "'^^1' is no range"))
  })
})

describe('watching', () => {
  it('tells of every change of that name, in order, until the watch is undone', () => {
    const registry = new ServiceRegistry()
    const seen: string[] = []
    const unwatch = registry.watch(
      'users',
      ({ kind, record, previous }) => void seen.push(`${kind} ${previous?.version ?? '-'} ${record.version}`),
    )
    const one = registry.provide(a('users', '1.0.0'))
    registry.provide(a('other'))
    registry.replace(one, a('users', '1.1.0')).withdraw()
    unwatch()
    unwatch()
    registry.provide(a('users', '2.0.0'))
    expect(seen).toEqual(['provided - 1.0.0', 'replaced 1.0.0 1.1.0', 'withdrawn - 1.1.0'])
  })

  it('lets one watcher fail, or leave, without the others missing anything', () => {
    const registry = new ServiceRegistry()
    const last = vi.fn()
    registry.watch('users', () => {
      throw new Error('no')
    })
    const leave = registry.watch('users', () => leave())
    registry.watch('users', last)
    registry.provide(a('users'))
    expect(last).toHaveBeenCalledOnce()
  })
})

describe('replacing', () => {
  it('never leaves the name absent, and shows watchers one change', () => {
    const registry = new ServiceRegistry()
    const old = registry.provide(a('users', '1.0.0'))
    const changes: ServiceChange[] = []
    const present: unknown[] = []
    registry.watch('users', (change) => {
      changes.push(change)
      present.push(registry.find('users'))
    })
    const next = registry.replace(old, a('users', '1.0.0'))
    expect(changes).toEqual([{ kind: 'replaced', record: next, previous: old }])
    expect(present).toEqual([next])
    expect([old.active, next.active]).toEqual([false, true])
    old.withdraw()
    expect(registry.find('users')).toBe(next)
  })

  it('tells of several changes when all of them are made, also where one of them fails', () => {
    const registry = new ServiceRegistry()
    const told: unknown[] = []
    for (const name of ['users', 'people'])
      registry.watch(name, ({ kind, record }) =>
        told.push([kind, record.name, registry.list().map(({ name, version }) => `${name}@${version}`)]),
      )
    const old = registry.provide(a('users', '1.0.0'))
    told.length = 0
    const refused = (): void =>
      registry.together(() => {
        registry.replace(old, a('users', '2.0.0'))
        registry.provide(a('people', '1.0.0'))
        expect(told).toEqual([])
        registry.provide(a('users', '2.0.0', 'other'))
      })
    expect(refused).toThrow(code('SERVICE_DUPLICATE'))
    expect(told).toEqual([
      ['replaced', 'users', ['people@1.0.0', 'users@2.0.0']],
      ['provided', 'people', ['people@1.0.0', 'users@2.0.0']],
    ])
    registry.provide(a('people', '2.0.0'))
    expect(told).toHaveLength(3)
  })

  it('changes nothing when the new one cannot be', () => {
    const registry = new ServiceRegistry()
    const old = registry.provide(a('users', '1.0.0'))
    registry.provide(a('users', '2.0.0', 'other'))
    expect(() => registry.replace(old, a('users', '2.0.0'))).toThrow(code('SERVICE_DUPLICATE'))
    expect(() => registry.replace(old, a('people', '1.0.0'))).toThrow(code('SERVICE_NAME_INVALID', "'people'"))
    expect(registry.find('users', '1')).toBe(old)
    expect(old.active).toBe(true)
  })

  it('provides where the old one is gone already', () => {
    const registry = new ServiceRegistry()
    const old = registry.provide(a('users'))
    old.withdraw()
    expect(registry.replace(old, a('users'))).toBe(registry.find('users'))
  })
})

describe('waiting', () => {
  it('gives what is there at once, or as soon as a version in the range comes', async () => {
    const registry = new ServiceRegistry()
    const one = registry.provide(a('users', '1.0.0'))
    expect(await registry.wait('users', '^1.0.0')).toBe(one)
    const got = vi.fn()
    const waiting = registry.wait('users', '^2.0.0').then(got)
    registry.provide(a('users', '1.5.0'))
    await settled()
    expect(got).not.toHaveBeenCalled()
    const two = registry.replace(one, a('users', '2.3.0'))
    await waiting
    expect(got).toHaveBeenCalledWith(two)
  })

  it('ends with the reason of the signal, and watches no longer', async () => {
    const registry = new ServiceRegistry()
    const controller = new AbortController()
    const reason = new Error('enough')
    const off = vi.spyOn(controller.signal, 'removeEventListener')
    const waiting = registry.wait('users', '*', controller.signal)
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(registry.wait('users', '*', controller.signal)).rejects.toBe(reason)
    expect(off).toHaveBeenCalledOnce()
  })

  it('takes its listener off the signal when the service came', async () => {
    const registry = new ServiceRegistry()
    const controller = new AbortController()
    const off = vi.spyOn(controller.signal, 'removeEventListener')
    const waiting = registry.wait('users', '*', controller.signal)
    registry.provide(a('users'))
    await waiting
    expect(off).toHaveBeenCalledOnce()
  })
})

describe('a missing service', () => {
  it('is explained by the nearest name', () => {
    const registry = new ServiceRegistry()
    registry.provide(a('users'))
    expect(registry.explainMissing('user')).toEqual(code('SERVICE_UNKNOWN', "Did you mean 'users'?"))
  })

  it('is explained by what there is, when no name is near', () => {
    const registry = new ServiceRegistry()
    expect(registry.explainMissing('users')).toEqual(code('SERVICE_UNKNOWN', 'No service is provided at all'))
    registry.provide(a('greeter'))
    expect(registry.explainMissing('users')).toEqual(code('SERVICE_UNKNOWN', 'Provided are: greeter'))
  })

  it('is explained by the versions that are there', () => {
    const registry = new ServiceRegistry()
    registry.provide(a('users', '1.0.0', 'one'))
    registry.provide(a('users', '2.0.0', 'two'))
    const error = registry.explainMissing('users', '^3.0.0')
    expect(error).toEqual(code('SERVICE_UNKNOWN', "2.0.0 by 'two', 1.0.0 by 'one'"))
    expect(error.details).toEqual({ name: 'users', range: '^3.0.0', versions: ['2.0.0', '1.0.0'] })
  })

  it('is explained by the plugin that provided it and stopped', () => {
    const registry = new ServiceRegistry()
    registry.provide(a('users', '1.0.0', 'accounts')).withdraw()
    const error = registry.explainMissing('users', '^1.0.0')
    expect(error).toEqual(code('SERVICE_UNKNOWN', "Start 'accounts'"))
    expect(error.plugin).toBe('accounts')
    expect(registry.explainMissing('users', '^2.0.0').message).not.toContain('accounts')
    registry.provide(a('users', '1.0.0', 'accounts'))
    expect(registry.explainMissing('users', '^2.0.0').message).toContain("it is there as 1.0.0 by 'accounts'")
  })
})
