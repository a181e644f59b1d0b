import { expect, it } from 'vitest'
import { CLONEABLE, expectClone } from '../support/cloned.js'
import { eventually } from '../support/eventually.js'
import { collect, pluginCode, startedWith } from '../support/plugin-folder.js'

const echo = pluginCode({ start: 'ctx.bus.subscribe("in.**", (event) => ctx.bus.publish("out", { event }))' })

for (const isolation of ['thread', 'inline'] as const) {
  it(`an event reaches a plugin (${isolation}) with its attributes, and what the plugin publishes carries its name`, async () => {
    const { kernel } = await startedWith({ echo: { code: echo, manifest: { isolation } } })
    const out = collect(kernel, 'out')
    await kernel.bus.publish('in.first', { a: 1 })
    await eventually(() => expect(out).toHaveLength(1))
    const { source, data } = out[0] as { source: string; data: { event: Record<string, unknown> } }
    expect(source).toBe('echo')
    expect(Object.keys(data.event).sort()).toEqual(['data', 'id', 'source', 'time', 'type'])
    expect(data.event).toMatchObject({ type: 'in.first', source: 'plugbay', data: { a: 1 } })
    expect(new Date(data.event['time'] as string).toISOString()).toBe(data.event['time'])
  })

  it(`every value reaches a plugin (${isolation}) and comes back as structuredClone would make it`, async () => {
    const { kernel } = await startedWith({
      echo: {
        code: pluginCode({ start: 'ctx.bus.subscribe("in", (event) => ctx.bus.publish("out", event.data))' }),
        manifest: { isolation },
      },
    })
    const out = collect(kernel, 'out')
    for (const make of Object.values(CLONEABLE)) await kernel.bus.publish('in', make())
    await eventually(() => expect(out).toHaveLength(Object.keys(CLONEABLE).length))
    for (const [index, make] of Object.values(CLONEABLE).entries()) expectClone(out[index]?.data, structuredClone(make()))
  })
}

it("a publisher's events reach a subscriber in another thread in the order published, over any number of hops", async () => {
  const { kernel } = await startedWith({
    source: pluginCode({
      start:
        'ctx.bus.subscribe("go", async () => { for (let n = 0; n < 3000; n++) await ctx.bus.publish("hop.one", n % 50 ? { n } : { n, at: new Date(n) }) })',
    }),
    relay: pluginCode({ start: 'ctx.bus.subscribe("hop.one", ({ data }) => ctx.bus.publish("hop.two", data))' }),
    sink: pluginCode({
      start: `
        const seen = []
        ctx.bus.subscribe('hop.two', async ({ data }) => {
          if (data.n % 3 === 0) await null
          seen.push(data.n)
          if (seen.length === 3000) await ctx.bus.publish('done', seen)
        })`,
    }),
  })
  const done = collect(kernel, 'done')
  await kernel.bus.publish('go')
  await eventually(() => expect(done).toHaveLength(1))
  expect(done[0]?.data).toEqual(Array.from({ length: 3_000 }, (_, n) => n))
})

it('an event has one id, in every thread and beside whatever others', async () => {
  const { kernel } = await startedWith({
    source: pluginCode({
      start: 'ctx.bus.subscribe("go", async () => { for (let n = 0; n < 40; n++) await ctx.bus.publish("in.plugin", n) })',
    }),
    sink: pluginCode({
      start: `
        const seen = {}
        ctx.bus.subscribe('in.*', ({ id, type, data }) => {
          seen[type + data] = id
          if (Object.keys(seen).length === 120) ctx.bus.publish('done', seen)
        })`,
    }),
  })
  const done = collect(kernel, 'done')
  const here: Record<string, string> = {}
  kernel.bus.subscribe('in.*', ({ id, type, data }) => void (here[type + data] = id))
  await kernel.bus.publish('go')
  for (let n = 0; n < 40; n++) {
    await kernel.bus.publish('in.kernel', n)
    await kernel.bus.publish('in.between', n, { source: 'another' })
    if (n % 4 === 0) await eventually(() => expect(Object.keys(here).length).toBeGreaterThan(n))
  }
  await eventually(() => expect(done).toHaveLength(1))
  const seen = done[0]?.data as Record<string, string>
  expect(new Set(Object.values(seen)).size).toBe(120)
  for (const [what, id] of Object.entries(seen)) expect({ what, id }).toEqual({ what, id: here[what] })
})

it('what is changed after publishing does not show, in the plugin and in the embedder alike', async () => {
  const { kernel } = await startedWith({
    keeper: pluginCode({
      start: `
        ctx.bus.subscribe('in', ({ data }) => ctx.bus.publish('out', data))
        ctx.bus.subscribe('go', () => {
          const plain = { n: 1 }, live = { n: 1, map: new Map([['k', 1]]) }
          ctx.bus.publish('out', plain)
          ctx.bus.publish('out', live)
          plain.n = 2
          live.n = 2
          live.map.set('k', 2)
        })`,
    }),
  })
  const out = collect(kernel, 'out')
  const plain = { n: 1 }
  const live = { n: 1, map: new Map([['k', 1]]) }
  void kernel.bus.publish('in', plain)
  void kernel.bus.publish('in', live)
  plain.n = 2
  live.n = 2
  live.map.set('k', 2)
  await kernel.bus.publish('go')
  await eventually(() => expect(out).toHaveLength(4))
  for (const { data } of out) expect((data as { n: number }).n).toBe(1)
  for (const { data } of out.filter((event) => 'map' in (event.data as object)))
    expect((data as { map: Map<string, number> }).map.get('k')).toBe(1)
})

it('what the embedder changes after publishing does not show to a plugin whose queue it waits in', async () => {
  const { kernel } = await startedWith({
    slow: pluginCode({
      start: `
        const open = new Promise((resolve) => ctx.bus.subscribe('open', resolve))
        ctx.bus.subscribe('in', async ({ data }) => { await open; await ctx.bus.publish('out', data) }, { capacity: 2000 })`,
    }),
  })
  const out = collect(kernel, 'out')
  const sent = Array.from({ length: 1_000 }, (_, n) => ({ n, changed: false }))
  await Promise.all(sent.map((data) => kernel.bus.publish('in', data)))
  for (const data of sent) data.changed = true
  await kernel.bus.publish('open')
  await eventually(() => expect(out).toHaveLength(1_000))
  expect(out.filter(({ data }) => (data as { changed: boolean }).changed).length).toBe(0)
})

it('what one plugin does to an event that it got does not show to another', async () => {
  const spoil = pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => { data.n = "spoilt"; data.map?.clear() })' })
  const { kernel } = await startedWith({
    first: { code: spoil, manifest: { isolation: 'inline' } },
    second: spoil,
    third: pluginCode({ start: 'ctx.bus.subscribe("in", ({ data }) => ctx.bus.publish("out", data))' }),
    fourth: pluginCode({
      start: 'ctx.bus.subscribe("go", () => { ctx.bus.publish("in", { n: 1 }); ctx.bus.publish("in", { n: 1, map: new Map([[1, 1]]) }) })',
    }),
  })
  kernel.bus.subscribe('in', ({ data }: { data: { n: unknown; map?: Map<number, number> } }) => {
    data.n = 'spoilt'
    data.map?.clear()
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('go')
  await eventually(() => expect(out).toHaveLength(2))
  expect(out.map(({ data }) => data)).toEqual([{ n: 1 }, { n: 1, map: new Map([[1, 1]]) }])
})

it('a plugin gets its own events too, where it subscribes to them', async () => {
  const { kernel } = await startedWith({
    self: pluginCode({ start: 'ctx.bus.subscribe("ping", () => ctx.bus.publish("pong", 1)); await ctx.bus.publish("ping")' }),
  })
  const out = collect(kernel, 'pong')
  await kernel.bus.publish('ping')
  await eventually(() => expect(out.length).toBeGreaterThanOrEqual(1))
})

it('patterns reach over threads', async () => {
  const { kernel } = await startedWith({
    listener: pluginCode({
      start: `for (const pattern of ['user.*', 'user.**', '**', '*.login', 'user.login', '*']) ctx.bus.subscribe(pattern, ({ type }) => { if (type === 'user.login') ctx.bus.publish('out', pattern) })`,
    }),
  })
  const out = collect(kernel, 'out')
  await kernel.bus.publish('user.login')
  await eventually(() => expect(out.map(({ data }) => data).sort()).toEqual(['**', '*.login', 'user.*', 'user.**', 'user.login']))
})
