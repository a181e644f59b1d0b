import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Channel } from '#src/sandbox/channel.js'
import { InlineHost } from '#src/sandbox/host/inline.js'
import { ProcessHost } from '#src/sandbox/host/process.js'
import { Standby } from '#src/sandbox/host/standby.js'
import { ThreadHost } from '#src/sandbox/host/thread.js'
import { NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import type { Exit, PluginHost } from '#src/sandbox/plugin-host.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { toWire } from '#src/wire-error.js'
import { eventually } from '../support/eventually.js'
import { loadRequest } from '../support/load-request.js'
import { emptyFolder, pluginCode, writePlugin } from '../support/plugin-folder.js'

interface HostKind {
  make: (folder: string) => PluginHost | Promise<PluginHost>
  /** What this kind cannot do, and why: the reason a test is left out. */
  cannot: { contain?: string; interrupt?: string }
}

const threadHost = (size: number): PluginHost => {
  const standby = new Standby(size)
  standby.prepare()
  standby.open()
  onTestFinished(() => standby.close())
  return new ThreadHost(standby)
}

const HOSTS: Record<string, HostKind> = {
  inline: {
    make: () => new InlineHost(),
    cannot: {
      contain: "an inline plugin shares the kernel's process: its exit and its uncaught errors are the kernel's own",
      interrupt: "an inline plugin runs in the kernel's thread: while it loops, nobody is there to end it",
    },
  },
  thread: { make: () => threadHost(0), cannot: {} },
  'thread from standby': { make: () => threadHost(1), cannot: {} },
  process: {
    make: (folder) =>
      ProcessHost.make({
        plugin: 'p',
        root: folder,
        dataDir: join(folder, 'data'),
        packages: [],
        grants: NO_GRANTS,
        memory: 256,
        needsHooks: false,
        inspected: false,
      }),
    cannot: {},
  },
}

/** A host with a plugin in it that is loaded, and the conversation with it. */
const inhabit = async (make: HostKind['make'], code: string) => {
  const path = writePlugin(emptyFolder(), 'guest', { code })
  const host = await make(path)
  onTestFinished(() => host.kill('the test is over'))
  const channel = await host.start(new AbortController().signal)
  const notices: [string, readonly unknown[]][] = []
  /** The fields of the lines of its log. */
  const fields: unknown[] = []
  const talk = new Conversation(
    channel,
    {
      request: () => undefined,
      notice: (verb, metas, body) => {
        notices.push([verb, metas])
        if (verb === 'log') fields.push(body.open())
      },
    },
    "plugin 'guest'",
  )
  const load = loadRequest('guest', path, {
    inline: host.kind === 'inline',
    config: { greeting: 'hello' },
    permissions: {
      root: path,
      dataDir: path,
      permissions: [
        { resource: 'bus:**', actions: ['publish', 'subscribe'] },
        { resource: 'service:*', actions: ['provide', 'call'] },
      ],
    },
  })
  return { host, talk, notices, fields, loaded: await talk.request('load', load) }
}

for (const [name, { make, cannot }] of Object.entries(HOSTS)) {
  describe(`a host of kind ${name}`, () => {
    const left = (reason: string | undefined) =>
      reason === undefined ? it : (title: string, _body: () => Promise<void>) => it.skip(`${title} (${reason})`, () => {})

    it('says its kind, and how strongly it holds', async () => {
      const { kind, tier } = await make(emptyFolder())
      expect(name.startsWith(kind)).toBe(true)
      expect(tier.startsWith(kind)).toBe(true)
    })

    it('answers all the verbs of a plugin, of any hooks', async () => {
      const { talk, loaded } = await inhabit(
        make,
        pluginCode({
          start: 'ctx.log.info("started", { by: ctx.name })',
          health: 'return { healthy: true, greeting: ctx.config.greeting }',
        }),
      )
      expect(loaded).toEqual({ hooks: ['start', 'health'] })
      await expect(talk.request('drain', { lines: true })).resolves.toBeUndefined()
      for (const verb of ['initialize', 'start', 'snapshot', 'stop']) await expect(talk.request(verb)).resolves.toBeUndefined()
      await expect(talk.request('restore', { state: 1 })).resolves.toBeUndefined()
      await expect(talk.request('health')).resolves.toEqual({ healthy: true, greeting: 'hello' })
    })

    it('reports its health, however much the plugin has to say of it, within a limit', async () => {
      const { talk } = await inhabit(
        make,
        pluginCode({ health: 'return { healthy: false, details: Array.from({ length: 100_000 }, (_, i) => ({ i })) }' }),
      )
      await expect(talk.request('health')).resolves.toEqual({ healthy: false, omitted: 'more than 65536 bytes of the report' })
    })

    left(cannot.contain)('tells of an error that nobody catches without what is too much of it', async () => {
      const { host, talk } = await inhabit(
        make,
        pluginCode({
          start: `
            const details = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => ['k' + i, { i }]))
            const error = Object.assign(new TypeError('too much'), { code: 'E_MUCH', details, cause: details, own: details })
            setTimeout(() => { throw error })`,
        }),
      )
      talk.request('start').catch(() => {})
      const { error } = await host.exited
      expect(error).toMatchObject({
        name: 'TypeError',
        message: 'too much',
        code: 'E_MUCH',
        details: { omitted: expect.stringMatching(/\d+ characters/) as string },
      })
      expect(error).not.toHaveProperty('own')
      expect(JSON.stringify(toWire(error)).length).toBeLessThan(100_000)
    })

    it('measures what is logged before it leaves, with its fields', async () => {
      const { talk, notices, fields } = await inhabit(
        make,
        pluginCode({
          start: `
            let reads = 0
            const growing = { get text() { return reads++ === 0 ? 'x' : 'y'.repeat(1e6) } }
            ctx.log.info('growing', { growing, date: new Date(0) })
            const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => ['k' + i, { v: i }]))
            for (let i = 0; i < 50; i++) ctx.log.info('many', many)`,
          health: 'return { healthy: true }',
        }),
      )
      await talk.request('start')
      // What was written before has come when this is answered.
      await talk.request('health')
      const lines = notices.flatMap(([verb, [, message]]) => (verb === 'log' ? [message] : []))
      expect(lines[0]).toBe('growing')
      expect(lines.filter((message) => message === 'many').length).toBeLessThan(10)
      expect(fields[0]).toMatchObject({ growing: { text: 'x' } })
      for (const each of fields.slice(1)) if (each !== undefined) expect(each).toEqual({ omitted: 'more than 131072 bytes of fields' })
    })

    it('gives hooks their arguments, and hands state over', async () => {
      const code = pluginCode({
        initialize: 'this.seen = [argument.greeting, ctx.config === argument]',
        updateConfig: 'this.seen.push(argument.greeting)',
        snapshot: 'return { seen: this.seen, config: ctx.config }',
        restore: 'this.seen = argument',
      })
      const { talk } = await inhabit(make, code)
      await talk.request('initialize')
      await talk.request('updateConfig', { config: { greeting: 'good day' } })
      await expect(talk.request('snapshot')).resolves.toEqual({ seen: ['hello', true, 'good day'], config: { greeting: 'good day' } })
      await talk.request('restore', { state: ['other'] })
      await expect(talk.request('snapshot')).resolves.toMatchObject({ seen: ['other'] })
    })

    it('tells of errors in a hook whole', async () => {
      const { talk } = await inhabit(
        make,
        pluginCode({ start: 'throw Object.assign(new TypeError("no", { cause: new Error("why") }), { code: "E_NO" })' }),
      )
      await expect(talk.request('start')).rejects.toMatchObject({
        name: 'TypeError',
        message: 'no',
        code: 'E_NO',
        plugin: 'guest',
        cause: { message: 'why' },
      })
    })

    it('refuses a verb it does not know', async () => {
      const { talk } = await inhabit(make, pluginCode({ start: '' }))
      await expect(talk.request('fly')).rejects.toMatchObject({ code: 'VERB_UNKNOWN', message: expect.stringContaining("'fly'") })
    })

    it.each([
      ['no default export', 'export const a = 1', 'PLUGIN_SHAPE', /no default export/],
      ['a default export of another kind', 'export default 42', 'PLUGIN_SHAPE', /number/],
      ['a default export without a function of a plugin', 'export default { strat() {} }', 'PLUGIN_SHAPE', /Did you mean 'start'/],
      ['a hook that is no function', 'export default { start: 1 }', 'PLUGIN_SHAPE', /'start'/],
      ['a module that throws', 'throw new RangeError("at the top")', 'PLUGIN_LOAD', /at the top/],
      ['a syntax error', 'export default {', 'PLUGIN_LOAD', /Unexpected/],
      ['an import that is not there', 'import "./nowhere.js"\nexport default { start() {} }', 'PLUGIN_LOAD', /nowhere/],
    ])('refuses to load %s', async (_, code, expected, text) => {
      await expect(inhabit(make, code)).rejects.toMatchObject({ code: expected, plugin: 'guest', message: expect.stringMatching(text) })
    })

    it('tells a plugin that it ends: its signal aborts with stop', async () => {
      const { talk, notices } = await inhabit(
        make,
        pluginCode({ start: 'ctx.signal.addEventListener("abort", () => ctx.log.info("aborted"))', stop: '' }),
      )
      await talk.request('start')
      await talk.request('stop')
      await eventually(() => expect(notices).toContainEqual(['log', expect.arrayContaining(['info', 'aborted'])]))
    })

    it('settles `exited` once, with the reason it was killed for', async () => {
      const { host, talk } = await inhabit(make, pluginCode({ start: '' }))
      const exits: Exit[] = []
      void host.exited.then((exit) => exits.push(exit))
      await Promise.all([host.kill('first'), host.kill('second')])
      await host.kill('third')
      await eventually(() => expect(exits).toHaveLength(1))
      expect(exits[0]).toMatchObject({ expected: true, reason: 'first' })
      await eventually(() => expect(talk.over).toBe(true))
    })

    it('does not start once it was killed', async () => {
      const host = await make(emptyFolder())
      await host.kill('before it began')
      await expect(host.start(new AbortController().signal)).rejects.toMatchObject({ code: 'PLUGIN_STOPPED' })
      await expect(host.exited).resolves.toMatchObject({ expected: true, reason: 'before it began' })
    })

    it('does not start with a signal that is aborted', async () => {
      const host = await make(emptyFolder())
      await expect(host.start(AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late')
      await host.kill('it never ran')
    })

    it('keeps what is sent while it is booting', async () => {
      const host = await make(emptyFolder())
      onTestFinished(() => host.kill('the test is over'))
      const channel: Channel = await host.start(new AbortController().signal)
      const talk = new Conversation(channel, { request: () => undefined }, 'the guest')
      const answers = await Promise.allSettled(['a', 'b', 'c'].map((verb) => talk.request(verb)))
      expect(answers.map((answer) => (answer as PromiseRejectedResult).reason)).toEqual(
        Array.from({ length: 3 }, () => expect.objectContaining({ code: 'VERB_UNKNOWN' })),
      )
    })

    it('ends when the kernel closes the channel', async () => {
      const { host, talk, notices } = await inhabit(
        make,
        pluginCode({ start: 'ctx.signal.addEventListener("abort", () => globalThis.endedWithTheChannel?.())' }),
      )
      await talk.request('start')
      talk.close()
      await host.kill('the channel is closed')
      await expect(host.exited).resolves.toMatchObject({})
      expect(notices).toEqual([])
    })

    left(cannot.contain)('contains a plugin that exits', async () => {
      const { host, talk } = await inhabit(make, pluginCode({ start: 'process.exit(7)' }))
      await expect(talk.request('start')).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' })
      await expect(host.exited).resolves.toEqual({ expected: false, code: 7 })
    })

    left(cannot.contain)('contains an error that nobody catches, and tells it', async () => {
      const { host, talk } = await inhabit(make, pluginCode({ start: 'setImmediate(() => { throw new RangeError("uncaught") })' }))
      await talk.request('start').catch(() => {})
      await expect(host.exited).resolves.toMatchObject({ expected: false, error: { name: 'RangeError', message: 'uncaught' } })
    })

    left(cannot.contain)('contains a rejection that nobody handles, and tells it', async () => {
      const { host, talk } = await inhabit(make, pluginCode({ start: 'void Promise.reject(new RangeError("unhandled"))' }))
      await talk.request('start').catch(() => {})
      await expect(host.exited).resolves.toMatchObject({ expected: false, error: { name: 'RangeError', message: 'unhandled' } })
    })

    left(cannot.interrupt)('ends a plugin that loops for ever', async () => {
      const { host, talk } = await inhabit(make, pluginCode({ start: 'for (;;) {}' }))
      const asked = talk.request('start', undefined, { timeout: 50 })
      await expect(asked).rejects.toMatchObject({ code: 'CALL_TIMEOUT' })
      await host.kill('it loops')
      await expect(host.exited).resolves.toMatchObject({ expected: true, reason: 'it loops' })
    })

    left(cannot.contain)('catches what is written past the console', async () => {
      const { host, talk } = await inhabit(
        make,
        pluginCode({ start: 'process.stdout.write("to stdout\\n"); process.stderr.write("to stderr\\n")' }),
      )
      const written: string[] = []
      host.onOutput = (stream, text) => written.push(`${stream}: ${text}`)
      await talk.request('start')
      await eventually(() => expect(written.sort()).toEqual(['stderr: to stderr\n', 'stdout: to stdout\n']))
    })
  })
}

describe('standby threads', () => {
  it('begin with one that boots before it is known for whom', async () => {
    const standby = new Standby(2)
    onTestFinished(() => standby.close())
    standby.prepare()
    expect(standby.waiting).toBe(1)
    const { worker, port } = standby.take()
    expect(standby.waiting).toBe(0)
    port.close()
    await worker.terminate()
  })

  it('are made up one at a time to the number wanted, handed out, and made up again', async () => {
    const standby = new Standby(2)
    onTestFinished(() => standby.close())
    standby.prepare()
    standby.open()
    await eventually(() => expect(standby.waiting).toBe(2))
    const { worker, port } = standby.take()
    expect(standby.waiting).toBe(1)
    await eventually(() => expect(standby.waiting).toBe(2))
    port.close()
    await worker.terminate()
  })

  it('that die while they wait are not handed out', async () => {
    const standby = new Standby(1)
    onTestFinished(() => standby.close())
    standby.prepare()
    standby.open()
    await eventually(() => expect(standby.waiting).toBe(1))
    const { worker, port } = standby.take()
    port.close()
    await worker.terminate()
    await eventually(() => expect(standby.waiting).toBe(1))
    const host = new ThreadHost(standby)
    const channel = await host.start(new AbortController().signal)
    const talk = new Conversation(channel, { request: () => undefined }, 'the guest')
    await expect(talk.request('x')).rejects.toMatchObject({ code: 'VERB_UNKNOWN' })
    await host.kill('done')
  })

  it('end with their standby', async () => {
    const standby = new Standby(1)
    standby.prepare()
    standby.open()
    await eventually(() => expect(standby.waiting).toBe(1))
    await standby.close()
    expect(standby.waiting).toBe(0)
    const { worker, port } = standby.take()
    expect(standby.waiting).toBe(0)
    port.close()
    await worker.terminate()
  })
})
