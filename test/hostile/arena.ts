/** A kernel with two innocent plugins that talk all the time, and a third beside them that means harm or is broken. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { type BareCalls, p99 } from '../support/bare-calls.js'
import { eventually } from '../support/eventually.js'
import { onGo } from '../support/offences.js'
import { pluginCode, type Running, startedWith, writePlugin } from '../support/plugin-folder.js'

/** What is told of an offender when it is contained: a code, and for a broken limit which. */
export type End =
  | 'PERMISSION_DENIED'
  | 'PERMISSION_DENIED or crash'
  | 'TASK_FAILED'
  | 'crash'
  | 'crash or memory'
  | 'crash or memory or hang'
  | 'memory'
  | 'hang'
  | 'memory or hang'
  | 'memory or PROTOCOL'
  | 'requests'
  | 'overlap'
  | 'requests or memory or hang'
  | 'PROTOCOL'
  | 'PLUGIN_LOAD'
  | 'MANIFEST_INVALID'
  | 'PLUGIN_TIMEOUT'
  | 'PLUGIN_CRASH_LOOP'

export interface Offender {
  /** What it does, as the test's name. */
  does: string
  /** Done in its thread when it is told to; with `ctx` in scope. */
  act?: string
  /** Done in a task of it instead, with `input` in scope. */
  task?: string
  /** Its module instead, for one that does harm as soon as it is loaded. */
  code?: string
  manifest?: Record<string, unknown>
  /** How it ends; null: it goes on, and does no harm to others. */
  end: End | null
  /** It is a flood, or memory in one piece: others may wait longer for their calls. */
  heavy?: boolean
  /** Milliseconds from the act to its end: what is promised, and time for a machine that is loaded. */
  within?: number
}

/** Publishes a numbered event and offers a service that answers. */
const INNOCENT = pluginCode({
  start: `
    let number = 0
    setInterval(() => void ctx.bus.publish('tick', ++number), 5)
    const hold = async (value) => { await new Promise((resolve) => setTimeout(resolve, 2000)); return value.length }
    async function* list() { for (let item = 0; ; item++) yield item }
    const each = async (tell) => { await tell() }
    await ctx.services.provide('innocent', { echo: (value) => value, hold, list, each, published: () => number })`,
})

/** Counts the events and calls the service, one call after the other. */
const OBSERVER = pluginCode({
  start: `
    const seen = { events: 0, lost: 0, calls: 0, failed: 0, times: [] }
    let last
    ctx.bus.subscribe('tick', ({ data }) => {
      seen.events++
      // What was published before it listened was not for it.
      seen.lost += last === undefined ? 0 : data - last - 1
      last = data
    })
    let waiting = []
    const { echo } = await ctx.services.use('innocent', { wait: 5000 })
    const call = async () => {
      const began = performance.now()
      try {
        if (await echo(seen.calls) !== seen.calls) seen.failed++
      } catch { seen.failed++ }
      seen.calls++
      seen.times.push(performance.now() - began)
      waiting = waiting.filter(({ count, done }) => count > seen.times.length || done())
      setTimeout(call, 2)
    }
    void call()
    await ctx.services.provide('observer', {
      begin: () => { seen.events = 0; seen.times.length = 0 },
      made: () => seen.times.length,
      untilMade: (count) => new Promise((done) => waiting.push({ count, done })),
      seen: () => ({ ...seen, last }),
    })`,
})

const OFFENCE_LIMITS = { memory: 64, hang: 500, loadTimeout: 2_000, initializeTimeout: 2_000, startTimeout: 2_000, stopTimeout: 500 }

export interface Outcome {
  does: string
  end: string
  /** Milliseconds until it was told of. */
  ms: number
  /** The innocent calls' times, from the act on. */
  p99: number
  max: number
  /** What calls between bare workers of another process took at the same time. */
  bare: number
  /** What is promised of the first of these on a machine that does nothing else. */
  promised: number
}

interface Observer {
  /** Events and times count from now on; what is lost or failed, ever. */
  begin(): Promise<void>
  /** How many calls it has made since then. */
  made(): Promise<number>
  untilMade(count: number): Promise<void>
  seen(): Promise<Seen>
}

interface Seen {
  events: number
  lost: number
  calls: number
  failed: number
  last: number
  times: number[]
}

export interface Arena {
  /** The offender does its harm; resolves when it is contained and gone, and nobody else has lost anything. */
  face(offender: Offender, beside: BareCalls): Promise<Outcome>
  close(): Promise<void>
}

/** The innocents begin here, and go on through all that they face. */
export const openArena = async (): Promise<Arena> => {
  const undos: (() => void | Promise<void>)[] = []
  const { kernel, faults, folder } = await startedWith({ innocent: INNOCENT, observer: OBSERVER }, {}, (undo) => undos.unshift(undo))
  const { begin, made, untilMade, seen } = (await kernel.services.use('observer', { timeout: 30_000 })) as unknown as Observer
  const { published } = (await kernel.services.use('innocent')) as unknown as { published(): Promise<number> }
  await untilMade(20)

  /** Nothing was lost of all that was published, since they began. */
  const unharmed = async (): Promise<Seen> => {
    const sent = await published()
    await eventually(async () => expect((await seen()).last).toBeGreaterThanOrEqual(sent))
    const { lost, failed, ...rest } = await seen()
    expect({ lost, failed }).toEqual({ lost: 0, failed: 0 })
    expect(faults.filter(({ name }) => !name.startsWith('offender'))).toEqual([])
    return { lost, failed, ...rest }
  }

  let faced = 0
  return {
    face: async ({ does, act, task, code, manifest = {}, end, heavy = false, within = 10_000 }, beside) => {
      // Each has a name of its own: what is told late of one is not taken for the next.
      const name = `offender${++faced}`
      const path = writePlugin(folder, name, {
        code: code ?? onGo(act ?? "ctx.tasks.run('offend').catch(() => {})"),
        manifest: {
          limits: OFFENCE_LIMITS,
          restart: { policy: 'temporary' },
          ...(task !== undefined && { tasks: { offend: 'offend.js' } }),
          ...manifest,
        },
      })
      if (task !== undefined) writeFileSync(join(path, 'offend.js'), `export default async (input) => { ${task} }`)
      const told = (): Fault[] => faults.filter((fault) => fault.name === name)
      await begin()
      await beside.times()
      let began = performance.now()
      const loaded = kernel.load(path)
      if (code === undefined) {
        await loaded
        began = performance.now()
        await kernel.bus.publish('go')
      } else loaded.catch(() => {})
      if (end !== null) await untilTold(told, name, end, within)
      const ms = performance.now() - began
      // They go on for a while as they did before; of fewer than a hundred calls there is no 99th percentile.
      await untilMade(Math.max((await made()) + 20, end === null ? 200 : 100))

      const bare = p99(await beside.times())
      const { events, times } = await unharmed()
      expect(events).toBeGreaterThan(0)
      if (end === null) expect(told()).toEqual([])
      await loaded.catch(() => {})
      if (kernel.plugins().some((plugin) => plugin.name === name)) await kernel.unload(name)
      await unharmed()
      return { does, end: end ?? '-', ms: end === null ? 0 : ms, p99: p99(times), max: Math.max(...times), bare, promised: heavy ? 50 : 25 }
    },
    close: async () => {
      for (const undo of undos) await undo()
    },
  }
}

type Fault = Running['faults'][number]

/** Waits until the kernel tells of the offender, as it should. */
const untilTold = (told: () => Fault[], name: string, end: End, within: number): Promise<void> =>
  vi.waitFor(
    () => {
      const errors = told().map(({ error }) => error as Error & Record<string, unknown>)
      expect(errors).not.toEqual([])
      const error = (end === 'PLUGIN_CRASH_LOOP' ? errors.at(-1) : errors[0]) as Error & { details?: Record<string, unknown> }
      expect(error.message).toContain(`'${name}'`)
      const { code } = error as { code?: string }
      const limit = error.details?.['limit']
      if (code === 'PLUGIN_LIMIT') {
        expect(error).toMatchObject({ plugin: name })
        expect(error.details).toMatchObject({ allowed: expect.any(Number) as number, observed: expect.any(Number) as number })
      }
      const how = code === 'PLUGIN_LIMIT' ? limit : code === 'PLUGIN_CRASHED' ? 'crash' : code
      expect(end.split(' or ')).toContain(how)
    },
    { timeout: within, interval: 10 },
  )
