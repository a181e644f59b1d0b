import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import {
  DEFAULT_LIMITS,
  DEFAULT_RESTART,
  effectiveLimits,
  effectiveRestart,
  type KernelOptions,
  resolveOptions,
} from '#src/kernel/options/options.js'
import { thrown } from '../../../support/thrown.js'

const logger = { debug() {}, info() {}, warn() {}, error() {} }

describe('resolved options', () => {
  test('of nothing are the documented defaults', () => {
    expect(resolveOptions()).toEqual({
      name: 'plugbay',
      base: process.cwd(),
      plugins: [],
      ceiling: {},
      config: {},
      configDir: undefined,
      watch: undefined,
      dataDir: join(process.cwd(), 'data'),
      audit: undefined,
      defaults: {
        isolation: 'thread',
        limits: {
          memory: 256,
          cpu: 1,
          hang: 1000,
          loadTimeout: 5000,
          initializeTimeout: 5000,
          startTimeout: 5000,
          stopTimeout: 2000,
          healthTimeout: 1000,
          queue: 1024,
          window: 512,
          message: 1_048_576,
          subscriptions: 10_000,
          overlap: 100,
          services: 1_000,
          requests: 10_000,
        },
        restart: {
          policy: 'permanent',
          max: 5,
          within: 60000,
          backoff: { initial: 100, max: 30000, factor: 2 },
          strategy: 'one-for-one',
          onGiveUp: 'stop',
          demote: undefined,
        },
      },
      concurrentStarts: Math.max(2, availableParallelism()) + 1,
      taskThreads: Math.max(2, availableParallelism()),
      standby: 1,
      logger: undefined,
      logLevel: 'info',
      env: process.env,
      roles: {},
      grants: {},
      isolation: {},
      learn: false,
    })
  })

  test.each([
    [true, { dir: '/app/data/.audit', maxBytes: 10_485_760, keep: 10 }],
    [
      { dir: './log', keep: 2 },
      { dir: '/app/log', maxBytes: 10_485_760, keep: 2 },
    ],
    [false, undefined],
  ])('have the audit log %j where it is to be', (audit, resolved) => {
    expect(resolveOptions({ base: '/app', audit }).audit).toEqual(resolved)
  })

  test('have absolute paths, relative to base', () => {
    const { plugins, configDir, dataDir } = resolveOptions({
      base: '/app',
      plugins: ['./plugins', '/other/x.js'],
      configDir: 'config',
      dataDir: '../data',
    })
    expect({ plugins, configDir, dataDir }).toEqual({
      plugins: ['/app/plugins', '/other/x.js'],
      configDir: '/app/config',
      dataDir: '/data',
    })
  })

  test('watch as a word, a folder of settings, or not at all', () => {
    expect(resolveOptions({ watch: true }).watch).toEqual({ settle: 20 })
    expect(resolveOptions({ watch: { settle: 5 } }).watch).toEqual({ settle: 5 })
    expect(resolveOptions({ watch: {} }).watch).toEqual({ settle: 20 })
    expect(resolveOptions({ watch: false }).watch).toBeUndefined()
  })

  test('keep logger, env and every explicit value; an undefined one counts as left out', () => {
    const env = { A: '1', B: undefined }
    const warn = vi.fn()
    const options = resolveOptions({
      logger: { ...logger, warn },
      env,
      standby: 0,
      dataDir: undefined,
      defaults: { limits: { memory: 64, cpu: undefined } },
    })
    expect(options).toMatchObject({ env, standby: 0 })
    options.logger?.warn({ user: 'ada' }, 'seen')
    expect(warn).toHaveBeenCalledExactlyOnceWith({ user: 'ada' }, 'seen')
    expect(options.defaults.limits).toEqual({ ...DEFAULT_LIMITS, memory: 64 })
  })

  test('do not change what they are made from', () => {
    const input: KernelOptions = { defaults: { limits: { memory: 64 }, restart: { backoff: { initial: 1 } } }, plugins: 'p' }
    const before = structuredClone(input)
    resolveOptions(input)
    expect(input).toEqual(before)
  })
})

describe('options that are not valid', () => {
  test.each<[string, unknown, string, string]>([
    ['an unknown key', { plugin: './p' }, 'plugin', "Did you mean 'plugins'?"],
    ['a misspelt function', { loger: logger }, 'loger', "Did you mean 'logger'?"],
    ['a wrong type', { plugins: 5 }, 'plugins', 'must be a string or a list, not 5'],
    ['a word out of a list', { defaults: { isolation: 'threads' } }, 'defaults.isolation', "Did you mean 'thread'?"],
    ['an unknown key in watch', { watch: { debounce: 5 } }, 'watch.debounce', 'is not a known field. Known here: settle'],
    ['a logger without methods', { logger: { info() {} } }, 'logger', 'it lacks debug, warn, error'],
    ['a logger that is nothing', { logger: null }, 'logger', 'must have the methods'],
    ['a config that is no object', { config: { hello: 'hi' } }, 'config.hello', "must be an object, not 'hi'"],
    ['options that are no object', 'plugins', '', "must be an object, not 'plugins'"],
    ['options that are a list', [], '', 'must be an object, not []'],
    ['too few threads', { maxConcurrency: 0 }, 'maxConcurrency', 'at least 1, not 0'],
  ])('%s: path, value, rule and mend', async (_, options, path, text) => {
    const error = await thrown(() => resolveOptions(options as KernelOptions))
    expect(error.code).toBe('OPTIONS_INVALID')
    const problems = error.details?.['problems'] as { path: string; message: string }[]
    expect(problems.find((each) => each.path === path)?.message, JSON.stringify(problems)).toContain(text)
    expect(error.message).toContain(path)
  })

  test('are reported all at once', async () => {
    const error = await thrown(() => resolveOptions({ plugin: 1, standby: -1, logger: {} } as unknown as KernelOptions))
    expect(error.details?.['problems']).toHaveLength(3)
  })
})

describe('what holds for one plugin', () => {
  const options = resolveOptions({
    defaults: { isolation: 'inline', limits: { memory: 64 }, restart: { max: 2, backoff: { initial: 5 } } },
  })
  const { defaults } = options

  test('is its manifest over the defaults over what is built in', () => {
    expect(effectiveLimits({ limits: { cpu: 0.5 } }, options)).toEqual({ ...DEFAULT_LIMITS, memory: 64, cpu: 0.5 })
    expect(effectiveRestart({ restart: { policy: 'temporary', backoff: { factor: 3 } } }, defaults)).toEqual({
      ...DEFAULT_RESTART,
      policy: 'temporary',
      max: 2,
      backoff: { initial: 5, max: 30000, factor: 3 },
    })
  })

  test('is no more than the ceiling, whoever says more', () => {
    const low = resolveOptions({ defaults: { limits: { memory: 64, hang: 500 } }, ceiling: { memory: 32, hang: 1_000, startTimeout: 300 } })
    expect(effectiveLimits({ limits: { hang: 60_000 } }, low)).toEqual({ ...DEFAULT_LIMITS, memory: 32, hang: 1_000, startTimeout: 300 })
    expect(effectiveLimits({ limits: { memory: 16 } }, low)).toMatchObject({ memory: 16, hang: 500 })
  })

  test('demotes after three faults in a minute, where it does at all and nothing else is said', () => {
    expect(effectiveRestart({ restart: { demote: {} } }, defaults).demote).toEqual({ after: 3, within: 60_000 })
    const demoting = resolveOptions({ defaults: { restart: { demote: { after: 2, within: 5 } } } }).defaults
    expect(effectiveRestart({ restart: { max: 1 } }, demoting).demote).toEqual({ after: 2, within: 5 })
    expect(effectiveRestart({}, defaults).demote).toBeUndefined()
  })

  test('is the defaults where the manifest says nothing', () => {
    expect(effectiveLimits({}, options)).toEqual(defaults.limits)
    expect(effectiveRestart({}, defaults)).toEqual(defaults.restart)
  })
})
