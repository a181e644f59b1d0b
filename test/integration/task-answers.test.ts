/**
 * What tasks are given and answer that is large: it comes whole, of whatever types it is, and the main thread of the process does not read
 * it.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TaskOwner } from '#src/kernel/tasks/task-pool.js'
import { TaskPools } from '#src/kernel/tasks/task-pools.js'
import { Boxed } from '#src/sandbox/conversation/party.js'
import { eventually } from '../support/eventually.js'
import { pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'
import { startedTasks } from '../support/task-plugin.js'

/** What {@link EVERYTHING} answers, as far as its parts are looked into. */
interface Everything {
  many: unknown[]
  cycle: { self: unknown }
  twice: [unknown, unknown]
  sparse: unknown[] & { named: string }
  bytes: Uint8Array
  [other: string]: unknown
}

/** Gives its task what is large; what cannot be copied is told with its code and its message. */
const GIVER = pluginCode({
  start: `
    const cycle = { name: 'cycle' }
    cycle.self = cycle
    const twice = { n: 1 }
    const many = Array.from({ length: 5_000 }, (_, i) => ({ i }))
    const given = {
      everything: { many, cycle, twice: [twice, twice], map: new Map([['key', 1n]]), bytes: new Uint8Array(1_000) },
      uncloneable: { many, act() {} },
    }
    await ctx.services.provide('giver', {
      give: (what) => ctx.tasks.run('looks', given[what]).catch(({ code, message }) => ({ code, message })),
    })`,
})
const LOOKS =
  "export default ({ many, cycle, twice, map, bytes }) => [many.filter(({ i }, at) => i === at).length, cycle.self === cycle, twice[0] === twice[1], map.get('key'), bytes.length]"

const ROOM = { limits: { memory: 512, hang: 10_000 } }
const ONE_THREAD = { maxConcurrency: 1 }

/** One value of each type that every boundary carries, with enough beside them to be large. */
const EVERYTHING = `export default () => {
  const cycle = { name: 'cycle' }
  cycle.self = cycle
  const twice = { n: 1 }
  const sparse = [1, , 3]
  sparse.named = 'beside'
  return {
    many: Array.from({ length: 5_000 }, (_, i) => ({ i })), cycle, twice: [twice, twice], sparse,
    map: new Map([['key', new Set([1n, -(2n ** 80n)])]]), date: new Date(5), nothing: [null, undefined, NaN, -0],
    bytes: new Uint8Array([1, 2, 3]).subarray(1), buffer: new ArrayBuffer(8), text: new String('boxed'),
    error: Object.assign(new RangeError('too far', { cause: new TypeError('why') }), { stack: 'its stack' }),
  }
}`

describe.each(['thread', 'inline', 'process'])('what is large, between a task and a plugin in isolation %s', (isolation) => {
  it('has as an answer all that it had', async () => {
    const { run } = await startedTasks({ 'everything.js': EVERYTHING }, { isolation, ...ROOM })
    const { value } = (await run('everything')) as { value: Everything }
    const { many, cycle, twice, sparse, bytes, ...others } = value
    expect(many).toEqual(Array.from({ length: 5_000 }, (_, i) => ({ i })))
    expect(cycle.self).toBe(cycle)
    expect(twice[0]).toBe(twice[1])
    expect([1 in sparse, sparse.named, sparse.length]).toEqual([false, 'beside', 3])
    expect([bytes, bytes.byteOffset]).toEqual([new Uint8Array([2, 3]), 1])
    expect(others).toEqual({
      map: new Map([['key', new Set([1n, -(2n ** 80n)])]]),
      date: new Date(5),
      nothing: [null, undefined, Number.NaN, -0],
      buffer: new ArrayBuffer(8),
      text: Object('boxed') as unknown,
      error: new RangeError('too far', { cause: new TypeError('why') }),
    })
    expect(others['error']).toMatchObject({ stack: 'its stack' })
  })

  it('as an answer moves what it is told to', async () => {
    const { run } = await startedTasks(
      {
        'moves.js': `import { transfer } from 'plugbay/plugin'
          let last
          export default (size) => {
            if (size === 0) return last.byteLength
            last = new Uint8Array(size).fill(7)
            return transfer({ bytes: last }, [last.buffer])
          }`,
      },
      { isolation, ...ROOM },
      ONE_THREAD,
    )
    expect(await run('moves', 1_000)).toEqual({ value: { bytes: new Uint8Array(1_000).fill(7) } })
    expect(await run('moves', 0)).toEqual({ value: 0 })
  })

  it('as an answer that cannot be copied is refused by name, and its thread goes on', async () => {
    const { run } = await startedTasks(
      {
        'holds.js':
          'globalThis.runs = (globalThis.runs ?? 0) + 1\nexport default (value) => value === 0 ? globalThis.runs++ : { many: new Array(50_000).fill(1), act() {} }',
      },
      { isolation, ...ROOM },
      ONE_THREAD,
    )
    expect(await run('holds', 1)).toMatchObject({
      code: 'TASK_FAILED',
      message: expect.stringMatching(
        /^Task 'holds' of plugin 'worker' failed: Its result cannot cross a thread: .* at result\.act\. /,
      ) as string,
      cause: { code: 'PAYLOAD_NOT_CLONEABLE', plugin: 'worker' },
    })
    expect(await run('holds', 0)).toEqual({ value: 1 })
  })

  it('has as an input all that it had', async () => {
    const { kernel, folder } = await startedWith({})
    const path = writePlugin(folder, 'giver', { code: GIVER, manifest: { isolation, ...ROOM, tasks: { looks: 'looks.js' } } })
    writeFileSync(join(path, 'looks.js'), LOOKS)
    await kernel.load(path)
    const { give } = (await kernel.services.use('giver', { timeout: 0 })) as unknown as { give(what: string): Promise<unknown> }
    expect(await give('everything')).toEqual([5_000, true, true, 1n, 1_000])
    expect(await give('uncloneable')).toMatchObject({
      code: 'PAYLOAD_NOT_CLONEABLE',
      message: expect.stringMatching(/^The input of task 'looks' cannot cross a thread: .* at input\.act\. /) as string,
    })
    // Nothing of it is left over: the next has its thread.
    expect(await give('everything')).toEqual([5_000, true, true, 1n, 1_000])
  })
})

describe('the main thread', () => {
  const pools = (beyond: boolean, grow: (bytes: number) => Promise<void> = async () => {}) => {
    const root = mkdtempSync(join(tmpdir(), 'plugbay-'))
    writeFileSync(
      join(root, 'rows.js'),
      `const rows = (count) => Array.from({ length: count }, (_, i) => ({ i }))
      export default (count) => count >= 0 ? rows(count) : { by: new Map(), get text() { return ++count > 0 ? 'x'.repeat(1e6) : '' } }`,
    )
    const ignore = (): void => {}
    const owner = {
      label: 'worker#1',
      generation: 1,
      source: { name: 'worker', root, tasks: { rows: { file: join(root, 'rows.js') } } } as unknown as TaskOwner['source'],
      grants: undefined,
      learning: false,
      beyond,
      packages: [],
      assertOpen: ignore,
      memory: 256,
      log: ignore,
      denied: ignore,
      used: ignore,
      fault: ignore,
      stuck: ignore,
    }
    const tasks = new TaskPools(1)
    onTestFinished(() => tasks.close(owner.label))
    const claim = { grow, moves: ignore }
    return (count: number) => tasks.run(owner, 'rows', { input: count }, new AbortController().signal, claim)
  }

  it('gets a large answer as what nobody has read, and a small one as it is', async () => {
    const rows = pools(false)
    expect(await rows(3)).toEqual([{ i: 0 }, { i: 1 }, { i: 2 }])
    const large = (await rows(5_000)) as Boxed
    expect(large).toBeInstanceOf(Boxed)
    expect(large.value).toBeInstanceOf(MessagePort)
    expect(large.transfer).toEqual([large.value])
    expect(receiveMessageOnPort(large.value as MessagePort)?.message).toHaveLength(5_000)
    large.drop()
  })

  it('gets one as what nobody has read that becomes large only while it is looked at', async () => {
    const rows = pools(false)
    const answers = await Promise.all([-1, -2, -3, -4].map(rows))
    for (const answer of answers) {
      if (!(answer instanceof Boxed)) expect(answer).toEqual({ by: new Map(), text: '' })
      else answer.drop()
    }
  })

  it('gets one for another process as bytes', async () => {
    const rows = pools(true)
    const large = (await rows(5_000)) as Boxed
    expect(large.value).toBeInstanceOf(Uint8Array)
    expect(large.transfer).toEqual([(large.value as Uint8Array).buffer])
  })

  it('begins no further run for another process while there is no room for what it answers', async () => {
    let enter = (): void => {}
    const room = new Promise<void>((resolve) => (enter = resolve))
    let wanted = 0
    const rows = pools(true, (bytes) => {
      wanted = bytes
      return room
    })
    const done: string[] = []
    const runs = [rows(5_000).then(() => done.push('large')), rows(3).then(() => done.push('small'))]
    await eventually(() => expect(wanted).toBeGreaterThan(10_000))
    // The other would have had the time.
    await pools(true)(3)
    expect(done).toEqual([])
    enter()
    await Promise.all(runs)
    expect(done).toEqual(['large', 'small'])
  })
})
