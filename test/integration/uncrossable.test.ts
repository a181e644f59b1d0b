/** What crosses threads and no process, such as a Blob: whoever waits for it, or for what became of it, is told at once. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

const blob = "new Blob(['x'])"

const STORE = pluginCode(
  {
    start: `
      const take = async (value) => {
        if (value?.[Symbol.asyncIterator]) for await (const _ of value);
        return 'taken'
      }
      const give = () => ${blob}
      await ctx.services.provide('store', {
        take, give,
        items: async function* () { yield 1; yield give() },
        callWithBlob: async (callback) => { await callback(give()); return 'called' },
        call: async (callback) => { await callback(); return 'called' },
        object: () => byReference({ take, give }),
      })`,
  },
  "import { byReference } from 'plugbay/plugin'",
)

const USER = pluginCode({
  start: `
    const store = await ctx.services.use('store', { timeout: 0 })
    const object = await store.object()
    let left = false
    const items = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}), return: async () => ((left = true), { done: true }) }) }
    const given = new AbortController()
    const calls = {
      argument: () => store.take({ in: [${blob}] }),
      'an argument beside a stream': () => store.take(items, ${blob}),
      'an argument of one that is given up': () => { const call = store.$with({ signal: given.signal }).take(${blob}); given.abort(); return call },
      result: () => store.give(),
      'an item from there': async () => { for await (const _ of await store.items()); },
      'an item from here': () => store.take((async function* () { yield ${blob} })()),
      'an argument of a callback': () => store.callWithBlob(() => {}),
      'a result of a callback': () => store.call(() => ${blob}),
      'an argument by reference': () => object.take(${blob}),
      'a result by reference': () => object.give(),
    }
    const told = {}
    for (const [what, call] of Object.entries(calls)) told[what] = await call().then(() => 'no error', ({ code, message }) => [code, message])
    const among = await Promise.allSettled([store.take(1), store.take(${blob}), store.take(2)])
    const after = [await store.take(1), await object.take(1)]
    await ctx.bus.publish('told', { told, after, left, among: among.map(({ value, reason }) => value ?? reason.code) })`,
})

it.each([
  ['inline', 'process'],
  ['process', 'inline'],
  ['thread', 'process'],
  ['process', 'thread'],
])('from a plugin that is %s to one that is %s', async (user, store) => {
  const { kernel, folder, faults } = await startedWith({ store: { code: STORE, manifest: { isolation: store } } })
  let heard: unknown
  kernel.bus.subscribe('told', ({ data }) => void (heard = data))
  await kernel.load(writePlugin(folder, 'user', { code: USER, manifest: { isolation: user } }))
  const refused = (what: string): [string, unknown] => [
    'PAYLOAD_NOT_CLONEABLE',
    // What a thread's own gate refuses does not even get to where it would go on.
    user === 'thread' || store === 'thread'
      ? expect.stringMatching(/cannot cross.*: A Blob .*Send plain data/)
      : expect.stringContaining(`${what} cannot cross: A Blob cannot go to another process. Send plain data in its place`),
  ]
  const argument = refused("An argument of 'take'")
  const result = refused('A result')
  await eventually(() => expect(heard).toBeDefined())
  expect(heard).toEqual({
    told: {
      argument,
      'an argument beside a stream': argument,
      'an argument of one that is given up': [
        expect.stringMatching(user === 'thread' ? 'PAYLOAD_NOT_CLONEABLE' : 'CALL_CANCELLED'),
        expect.any(String),
      ],
      result,
      'an item from there': result,
      'an item from here': result,
      'an argument of a callback': refused("An argument of 'call'"),
      'a result of a callback': result,
      'an argument by reference': argument,
      'a result by reference': result,
    },
    // The stream that went with it has ended, and all else goes on.
    left: true,
    among: ['taken', 'PAYLOAD_NOT_CLONEABLE', 'taken'],
    after: ['taken', 'taken'],
  })
  // Nobody broke the protocol.
  expect(faults).toEqual([])
})

it('a forged stream that is none fails the call at once', async () => {
  const forger = pluginCode({
    start: `
      const store = await ctx.services.use('store', { timeout: 0 })
      const { all } = Promise
      const told = []
      for (const forged of [${blob}, new ReadableStream(), {}, null, 5])
        for (const kind of ['stream', 'callback', 'none such']) {
          Promise.all = (boxing) => { Promise.all = all; return Promise.all(boxing).then(() => [[kind, forged]]) }
          told.push(await store.take(() => {}).then(() => 'no error', () => 'failed'))
        }
      await ctx.bus.publish('told', [...told, await store.take(1)])`,
  })
  const { kernel, folder } = await startedWith({ store: { code: STORE, manifest: { isolation: 'process' } } })
  let heard: unknown
  kernel.bus.subscribe('told', ({ data }) => void (heard = data))
  await kernel.load(writePlugin(folder, 'forger', { code: forger }))
  await eventually(() => expect(heard).toEqual([...Array.from({ length: 15 }, () => 'failed'), 'taken']))
})

const ECHO = pluginCode({ start: "ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', data))" })

it.each([
  ['a Blob', () => new Blob(['x']), /Blob/],
  ['shared memory', () => new SharedArrayBuffer(1), /SharedArrayBuffer/],
  ['a view of shared memory', () => new Uint8Array(new SharedArrayBuffer(1)), /SharedArrayBuffer/],
])(
  'an event with %s is refused where a plugin in a process subscribes: nobody gets it, and those after it arrive',
  async (_what, make, name) => {
    const { kernel, lines } = await startedWith({ apart: { code: ECHO, manifest: { isolation: 'process' } }, near: { code: ECHO } })
    const out: unknown[] = []
    kernel.bus.subscribe('in', ({ data }) => void out.push(data))
    kernel.bus.subscribe('out', ({ data }) => void out.push(data))
    await expect(kernel.bus.publish('in', { list: [1, make()] })).rejects.toMatchObject({
      code: 'PAYLOAD_NOT_CLONEABLE',
      message: expect.stringMatching(
        /^The data of 'in' from '\w+' to plugin 'apart' cannot cross: A \w+ cannot go to another process, at data\.list\[1\]\. Send plain data/,
      ),
      details: { topic: 'in', pattern: 'in', subscriber: 'apart', path: 'data.list[1]' },
    })
    await expect(kernel.bus.publish('in', make())).rejects.toThrow(name)
    await kernel.bus.publish('in', 'next')
    await eventually(() => expect(out).toEqual(['next', 'next', 'next']))
    expect(kernel.metrics().bus.refused).toBe(2)
    expect(lines).toEqual([])
  },
)

it('an event of a plugin with one is refused in the log, with who published it, where, and the path to it', async () => {
  const near = pluginCode({ start: `await ctx.bus.publish('in', { file: ${blob} }); await ctx.bus.publish('in', 'next')` })
  const { kernel, folder, lines } = await startedWith({ apart: { code: ECHO, manifest: { isolation: 'process' } } })
  const out: unknown[] = []
  kernel.bus.subscribe('out', ({ data }) => void out.push(data))
  await kernel.load(writePlugin(folder, 'near', { code: near, manifest: { isolation: 'inline' } }))
  await eventually(() => expect(out).toEqual(['next']))
  expect(lines.map(({ level, message, fields }) => [level, fields['plugin'], message])).toEqual([
    [
      'error',
      'near',
      expect.stringMatching(/^Event 'in' was refused: The data of 'in' from 'near' to plugin 'apart' cannot cross: .*, at data\.file\./),
    ],
  ])
})

it('an event with one that waited while its subscriber moved to a process is told as lost, and not as a failure of the handler', async () => {
  const { kernel, folder, lines } = await startedWith({
    p: { code: pluginCode({ start: "ctx.bus.subscribe('in', () => new Promise(() => {}))" }), manifest: { limits: { stopTimeout: 50 } } },
  })
  const out: unknown[] = []
  kernel.bus.subscribe('out', ({ data }) => void out.push(data))
  // As many as may be under way: the next ones wait in the kernel.
  for (let i = 0; i < 1_024; i++) await kernel.bus.publish('in', 'under way')
  await kernel.bus.publish('in', { file: new Blob(['x']) })
  await kernel.bus.publish('in', 'next')
  writePlugin(folder, 'p', { code: ECHO, manifest: { isolation: 'process' } })
  await kernel.reload('p')
  await eventually(() => expect(out).toEqual(['next']))
  expect(lines.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^Event 'in' did not reach plugin 'p': The data of 'in' .* cannot cross: .*, at data\.file\./),
    ]),
  )
  expect(lines.filter(({ message }) => /failed/.test(message))).toEqual([])
})

it.each(['thread', 'process'])(
  'a regular expression leaves no plugin in a %s, whose reader would compile it, and reaches it',
  async (isolation) => {
    const code = pluginCode({
      start: `
      const told = (error) => error.code + ': ' + error.message
      await ctx.services.provide('p', {
        publish: () => ctx.bus.publish('out', { list: [{ pattern: /a/ }] }).then(() => 'published', told),
        result: () => ({ pattern: /a/ }),
        task: () => ctx.tasks.run('gives', 1).then(String, told),
        source: (given) => given.source,
      })
      ctx.log.info('a line', { pattern: /a/, n: 1 })`,
    })
    const { kernel, folder, lines } = await startedWith({})
    const manifest = { isolation, tasks: { gives: 'gives.js' } }
    const path = writePlugin(folder, 'p', { code, manifest })
    writeFileSync(join(path, 'gives.js'), 'export default (n) => [n, /a/]')
    await kernel.load(path)
    const p = (await kernel.services.use('p')) as Record<string, (given?: unknown) => Promise<unknown>>
    const why = 'a RegExp is in it, which who reads it would have to compile: send its source and its flags'
    expect(await p['publish']?.()).toMatch(new RegExp(`^PAYLOAD_NOT_CLONEABLE: .*${why}, at data\\.list\\[0\\]\\.pattern\\. `))
    await expect(p['result']?.()).rejects.toMatchObject({ code: 'PAYLOAD_NOT_CLONEABLE', message: expect.stringContaining(why) as string })
    // A process gets what its own task answers as bytes, which nobody else reads.
    const refused = new RegExp(`^TASK_FAILED: .*${why}, at result\\[1\\]`)
    expect(await p['task']?.()).toMatch(isolation === 'process' ? /^1,\/a\/$/ : refused)
    expect(await p['source']?.(/given/)).toBe('given')
    expect(lines.find(({ message }) => message === 'a line')?.fields).toMatchObject({ pattern: '/a/', n: 1 })
  },
)
