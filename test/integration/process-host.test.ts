import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transfer } from 'plugbay'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FRAME_LIMIT } from '#src/sandbox/framed-channel.js'
import { CLONEABLE, expectClone } from '../support/cloned.js'
import { eventually } from '../support/eventually.js'
import { collect, emptyFolder, infoOf, pluginCode, type Running, startedWith, stateOf, writePlugin } from '../support/plugin-folder.js'
import { backTo, openNow } from '../support/traces-of-threads.js'

const manifest = { isolation: 'process' }
const linux = process.platform === 'linux'
const onLinux = linux
  ? it
  : (title: string, _body: () => Promise<void>) => it.skip(`${title} (what is looked at lies in /proc: run it on Linux)`, () => {})

/** Processes that have this one as an ancestor, as the system tells. */
const descendantsOf = (pid: number): number[] => {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (state !== 'Z') parents.set(Number(name), Number(parent))
    } catch {
      // It ended while it was looked at.
    }
  }
  const under = (each: number): boolean => {
    const parent = parents.get(each)
    return parent !== undefined && (parent === pid || under(parent))
  }
  return [...parents.keys()].filter(under)
}

const alive = (pid: number): boolean => {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

const guestsOf = (pid: number): number[] =>
  descendantsOf(pid).filter((each) => {
    try {
      return readFileSync(`/proc/${each}/cmdline`, 'utf8').includes('guest/process.cjs')
    } catch {
      return false
    }
  })

/** Both ends of a service, each in the place asked for; `run` runs a text as a function of the caller's `ctx`. */
const between = async (provider: string, consumer: string, methods: string) => {
  const running = await startedWith({
    shop: { code: pluginCode({ start: `await ctx.services.provide('shop', { ${methods} })` }), manifest: { isolation: provider } },
    caller: {
      code: pluginCode({
        start: `
          const AsyncFunction = (async () => {}).constructor
          await ctx.services.provide('run', { run: async (code) => new AsyncFunction('shop', code)(await ctx.services.use('shop')) })`,
      }),
      manifest: { isolation: consumer, dependencies: { shop: '*' } },
    },
  })
  const { run } = await running.kernel.services.use('run')
  return { ...running, run: (code: string) => run?.(code) as Promise<unknown> }
}

describe('a plugin in a process of its own', () => {
  onLinux('that ends by an error is told of with that, though the application writes to it before it reads', async () => {
    const code = pluginCode({ start: "ctx.bus.subscribe('go', () => void setTimeout(() => { throw new RangeError('fell') }))" })
    const { kernel, faults } = await startedWith({ p: { code, manifest } })
    const [guest = 0] = guestsOf(process.pid)
    await kernel.bus.publish('go')
    await new Promise(setImmediate)
    while (alive(guest));
    await kernel.bus.publish('go')
    await eventually(() => expect(faults).toHaveLength(1))
    expect(faults[0]?.error).toMatchObject({ code: 'PLUGIN_CRASHED', cause: { name: 'RangeError', message: 'fell' } })
  })

  it('says in plugins() how strongly it is really held', async () => {
    const { kernel } = await startedWith({ far: { code: pluginCode({ start: '' }), manifest } })
    expect(infoOf(kernel, 'far')).toMatchObject({ isolation: 'process', tier: expect.stringMatching(/^process(\+permission|\+sandbox)?$/) })
  })

  it('gets every value and gives it back as structuredClone would make it', async () => {
    const { kernel } = await startedWith({
      far: { code: pluginCode({ start: "ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', data))" }), manifest },
    })
    const out = collect(kernel, 'out')
    const values = Object.values(CLONEABLE)
    for (const make of values) await kernel.bus.publish('in', make())
    await eventually(() => expect(out).toHaveLength(values.length))
    for (const [index, make] of values.entries()) expectClone(out[index]?.data, structuredClone(structuredClone(make())))
  })

  it('refuses what cannot cross, and says so to who sent it', async () => {
    const { kernel, run } = await between('process', 'process', 'echo: (x) => x, bad: () => ({ f() {} })')
    await expect(run('return shop.bad()')).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
    const shop = await kernel.services.use('shop')
    await expect(shop.echo?.({ f() {} })).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE' })
    await expect(shop.echo?.('still there')).resolves.toBe('still there')
  })

  it('sees only its own files and a clean environment', async () => {
    process.env['PLUGBAY_TEST_SECRET'] = 'secret'
    onTestFinished(() => void delete process.env['PLUGBAY_TEST_SECRET'])
    const { kernel, folder } = await startedWith({
      far: {
        code: pluginCode(
          {
            start: `
              const attempt = (act) => { try { return act() } catch (error) { return error.code } }
              await ctx.services.provide('far', {
                read: (path) => attempt(() => readFileSync(path, 'utf8')),
                write: (path) => attempt(() => writeFileSync(path, 'text') ?? 'written'),
                env: () => Object.keys(process.env), cwd: () => process.cwd(), data: () => ctx.dataDir,
              })`,
          },
          "import { readFileSync, writeFileSync } from 'node:fs'\nimport { join } from 'node:path'",
        ),
        manifest,
      },
    })
    writeFileSync(join(folder, 'secret.txt'), 'secret')
    const far = await kernel.services.use('far')
    const denied = expect.stringMatching(/^(PERMISSION_DENIED|ENOENT|EROFS)$/)
    await expect(far.env?.()).resolves.not.toContain('PLUGBAY_TEST_SECRET')
    await expect(far.cwd?.()).resolves.toBe(join(folder, 'far'))
    await expect(far.read?.(join(folder, 'far/plugin.json'))).resolves.toContain('"far"')
    await expect(far.write?.(join((await far.data?.()) as string, 'kept.txt'))).resolves.toBe('written')
    await expect(far.read?.(join(folder, 'secret.txt'))).resolves.toEqual(denied)
    await expect(far.write?.(join(folder, 'far/plugin.json'))).resolves.toEqual(denied)
  })

  it('reads and writes where its paths have a comma, and nothing that stands before it', async () => {
    const base = emptyFolder()
    const { kernel } = await startedWith({}, { dataDir: join(base, 'data,more') })
    const code = pluginCode(
      {
        start: `
          const attempt = (act) => { try { return String(act() ?? 'done') } catch (error) { return error.code } }
          const paths = [ctx.dataDir, ${JSON.stringify(join(base, 'data'))}]
          await ctx.services.provide('far', { attempts: () => [
            attempt(() => readFileSync('plugin.json').length > 0),
            ...paths.map((path) => attempt(() => writeFileSync(join(path, 'kept.txt'), 'text'))),
          ] })`,
      },
      "import { readFileSync, writeFileSync } from 'node:fs'\nimport { join } from 'node:path'",
    )
    mkdirSync(join(base, 'data'))
    await kernel.load(writePlugin(join(base, 'data,plugins'), 'far', { manifest, code }))
    const far = await kernel.services.use('far')
    const denied = expect.stringMatching(/^(PERMISSION_DENIED|ENOENT|EROFS)$/) as string
    await expect(far.attempts?.()).resolves.toEqual(['true', 'done', denied])
  })
})

describe.each([
  ['thread', 'process'],
  ['process', 'thread'],
  ['process', 'process'],
])('a service of a plugin (%s) used by another (%s)', (provider, consumer) => {
  it('takes callbacks, streams, signals and objects that are moved', async () => {
    const { kernel, run } = await between(
      provider,
      consumer,
      `
      twice: async (f) => (await f(20)) * 2,
      count: async function* (to) { for (let n = 0; n < to; n++) yield n },
      sum: async (numbers) => { let sum = 0; for await (const n of numbers) sum += n; return sum },
      until: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason.message))),
      adder: async (by) => (await by(1), async (n) => n + 2),
      size: (bytes) => bytes.byteLength,
      fail: async (f) => f()`,
    )
    await expect(run('return shop.twice(async (n) => n + 1)')).resolves.toBe(42)
    await expect(run('let got = []; for await (const n of await shop.count(100)) got.push(n); return got.length')).resolves.toBe(100)
    await expect(run('return shop.sum((async function* () { yield 1; yield 2; yield 3 })())')).resolves.toBe(6)
    await expect(
      run(`
        const stop = new AbortController()
        const stopped = shop.until(stop.signal)
        stop.abort(new Error('enough'))
        return stopped`),
    ).resolves.toBe('enough')
    await expect(run('return (await shop.adder(() => {}))(40)')).resolves.toBe(42)
    await expect(run('return shop.fail(() => { throw new RangeError("from the caller") })')).rejects.toMatchObject({
      name: 'RangeError',
      message: 'from the caller',
    })
    const bytes = new Uint8Array(1_024)
    const shop = await kernel.services.use('shop')
    await expect(shop.size?.(transfer(bytes, [bytes.buffer]))).resolves.toBe(1_024)
    expect(bytes.byteLength).toBe(0)
  })

  it('is told when the provider dies, and called again when it is back', async () => {
    const { kernel, run, faults } = await between(
      provider,
      consumer,
      'die: () => process.exit(3), never: () => new Promise(() => {}), ping: () => 1',
    )
    await run('globalThis.under = shop.never().catch((error) => error.code); return shop.ping()')
    await expect(run('return shop.die()')).rejects.toMatchObject({ code: 'SERVICE_GONE' })
    await expect(run('return globalThis.under')).resolves.toBe('SERVICE_GONE')
    await eventually(() => expect(run('return shop.ping()')).resolves.toBe(1))
    expect(faults).toHaveLength(1)
    expect(infoOf(kernel, 'shop').restarts).toBe(1)
  })
})

describe('a process that goes wrong', () => {
  const answers = async ({ kernel }: Running): Promise<void> => {
    const near = await kernel.services.use('near')
    await expect(near.ping?.()).resolves.toBe(1)
  }
  const beside = (code: string, more: object = {}): Promise<Running> =>
    startedWith({
      near: pluginCode({ start: "await ctx.services.provide('near', { ping: () => 1 })" }),
      far: { code, manifest: { ...manifest, ...more } },
    })

  it('is killed from outside, named by its signal, and started again', async () => {
    const running = await beside(pluginCode({ start: "ctx.bus.subscribe('die', () => process.kill(process.pid, 'SIGKILL'))" }))
    await running.kernel.bus.publish('die')
    await eventually(() => expect(running.faults).toHaveLength(1))
    expect(running.faults[0]?.error).toMatchObject({ code: 'PLUGIN_CRASHED', message: expect.stringContaining('SIGKILL') })
    await eventually(() => expect(infoOf(running.kernel, 'far')).toMatchObject({ state: 'running', generation: 2 }))
    await answers(running)
  })

  onLinux('takes more memory than it may, and is stopped with the limit and what was seen', async () => {
    const running = await beside(
      pluginCode({
        start: `ctx.bus.subscribe('take', () => {
          globalThis.taken = []
          setInterval(() => taken.push(Buffer.alloc(8 * 1024 * 1024, 1)), 5)
        })`,
      }),
      { limits: { memory: 64 } },
    )
    await running.kernel.bus.publish('take')
    await eventually(() => expect(running.faults).toHaveLength(1))
    const error = running.faults[0]?.error as Error & { code: string; details: { observed: number } }
    expect(error.code).toBe('PLUGIN_LIMIT')
    expect(error.message).toMatch(/64 MB \(limits\.memory\)/)
    expect(error.details.observed).toBeGreaterThan(64 * 1.25)
    await answers(running)
  })

  it.each([
    ['bytes that are no frame', 'Buffer.from([1, 0, 0, 0, 9, 9, 9, 9])', /1 bytes is none/],
    ['a frame longer than any may be', 'Buffer.from([255, 255, 255, 255, 0, 0, 0, 0])', new RegExp(`longer than the ${FRAME_LIMIT}`)],
    ['a value that V8 cannot read', 'Buffer.from([8, 0, 0, 0, 0, 0, 0, 0, 255, 15, 1, 2])', /breaks the protocol/],
    ['what would be a command to Node itself', `Buffer.from('{"cmd":"NODE_HANDLE_ACK"}\\n')`, /breaks the protocol/],
  ])('writes %s to its channel, and harms nobody', async (_, bytes, says) => {
    const running = await beside(
      pluginCode({ start: `ctx.bus.subscribe('forge', () => void writeSync(3, ${bytes}))` }, "import { writeSync } from 'node:fs'"),
    )
    await running.kernel.bus.publish('forge')
    await eventually(() => expect(running.faults).toHaveLength(1))
    expect(running.faults[0]?.error).toMatchObject({ code: 'PROTOCOL', message: expect.stringMatching(says) })
    await eventually(() => expect(stateOf(running.kernel, 'far')).toBe('running'))
    await answers(running)
  })

  it('floods its output, of which a part is kept and the rest counted', async () => {
    const running = await beside(
      pluginCode({
        start: `
          const timer = setInterval(() => process.stdout.write('x'.repeat(100_000)), 10)
          ctx.signal.addEventListener('abort', () => clearInterval(timer))`,
      }),
    )
    await eventually(() => expect(running.lines.some(({ message }) => /characters were dropped/.test(message))).toBe(true))
    await answers(running)
  })

  onLinux('ends with the kernel that is killed, also while it computes without end', async () => {
    const folder = emptyFolder()
    writePlugin(folder, 'far', { code: pluginCode({ start: 'setTimeout(() => { for (;;) {} }, 20)' }), manifest })
    const host = join(folder, 'host.mjs')
    writeFileSync(
      host,
      `import { createKernel } from ${JSON.stringify(fileURLToPath(import.meta.resolve('#src/index.js')))}
       const kernel = await createKernel({ base: ${JSON.stringify(folder)}, plugins: './far', dataDir: './data', logLevel: 'error' })
       await kernel.start()
       console.log('started')`,
    )
    const child = spawn(process.execPath, [host], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const guests = guestsOf(child.pid as number)
    expect(guests.length).toBeGreaterThan(0)
    child.kill('SIGKILL')
    await eventually(() => expect(guests.filter(alive)).toEqual([]))
  })

  onLinux('has no way to leave a child behind', async () => {
    const running = await beside(pluginCode({ start: "await ctx.services.provide('far', { ping: () => 1 })" }))
    expect(guestsOf(process.pid).length).toBeGreaterThan(0)
    await running.kernel.stop()
    await eventually(() => expect(guestsOf(process.pid)).toEqual([]))
  })
})

describe('replacement of a plugin in a process', () => {
  it('loses no event and fails no call, and leaves no process and no descriptor', async () => {
    const { kernel, replaced, faults } = await startedWith({
      far: {
        code: pluginCode({
          start: `
            ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', data))
            await ctx.services.provide('far', { echo: (x) => x })`,
        }),
        manifest,
      },
    })
    const out = collect(kernel, 'out')
    const far = await kernel.services.use('far')
    await kernel.reload('far')
    const before = openNow()
    const guests = linux ? guestsOf(process.pid).length : 0
    let going = true
    let sent = 0
    let calls = 0
    const publishing = (async () => {
      while (going) {
        await kernel.bus.publish('in', sent++)
        if (sent % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    const calling = (async () => {
      while (going) {
        const n = calls++
        expect(await far.echo?.(n)).toBe(n)
      }
    })()
    for (let n = 0; n < 20; n++) await kernel.reload('far')
    going = false
    await Promise.all([publishing, calling])
    await eventually(() => expect(out).toHaveLength(sent))
    expect(out.map(({ data }) => data)).toEqual(Array.from({ length: sent }, (_, n) => n))
    expect(replaced.flatMap(({ left }) => left)).toEqual([])
    expect(faults).toEqual([])
    await backTo(before)
    if (linux) await eventually(() => expect(guestsOf(process.pid)).toHaveLength(guests))
  }, 120_000)
})
