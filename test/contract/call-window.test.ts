/** What a caller may have under way to a provider over one line, and what waits on its own side. */
import { MessageChannel } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type CallOptions, methodsOf, ProviderLine, ServiceClient } from '#src/sandbox/lines/service-line.js'
import { CALL_LIMIT, WINDOW_BYTES, WINDOW_CALLS } from '#src/sandbox/values/call-window.js'
import { gate } from '../support/conversations.js'
import { eventually } from '../support/eventually.js'

const MEGABYTE = 1_048_576

/** A service whose `hold` takes what it is given and answers when `open` is called. */
const heldLine = (options: CallOptions = { timeout: 0 }) => {
  const { port1, port2 } = new MessageChannel()
  const taken: unknown[] = []
  const doors: { open(value: unknown): void }[] = []
  const service = {
    hold: (value: unknown) => {
      taken.push(value)
      const door = gate<unknown>()
      doors.push(door)
      return door.promise
    },
    repeat: async (count: number) => 'x'.repeat(count),
    call: (back: (value: unknown) => unknown, value: unknown) => back(value),
    flood: (back: (value: unknown) => unknown, count: number, size: number) =>
      Promise.all(Array.from({ length: count }, () => back(new Uint8Array(size)))),
  }
  const methods = methodsOf(service)
  const provided = { name: 'store', plugin: 'keeper', service, methods: new Set(methods) }
  const provider = new ProviderLine(port2, provided, 'flooder', methods, () => {})
  const client = new ServiceClient({ name: 'store', provider: 'keeper', methods }, port1)
  onTestFinished(() => {
    client.release()
    port1.close()
    port2.close()
  })
  const proxy = client.proxy(options)
  const call = (method: string, ...args: unknown[]): Promise<unknown> => proxy[method](...args)
  return { proxy, client, provider, taken, doors, call }
}

const settled = async (taken: unknown[], count: number): Promise<void> => {
  await eventually(() => expect(taken.length).toBe(count))
  // Whatever else had left would have come by now.
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  expect(taken.length).toBe(count)
}

describe('calls over a line', () => {
  test.each<[string, () => unknown]>([
    ['buffers', () => new Uint8Array(MEGABYTE)],
    ['views of large buffers', () => new Uint8Array(new ArrayBuffer(MEGABYTE), 0, 1)],
    ['texts', () => 'x'.repeat(MEGABYTE)],
    ['objects deep within a class', () => ({ at: new Date(0), a: { b: { c: { d: { e: { f: 'x'.repeat(MEGABYTE) } } } } } })],
    ['many objects', () => Array.from({ length: 2_000 }, (_, i) => ({ i, t: 'twelve bytes' }))],
  ])('wait in the caller, in order, when as many bytes are under way as may be: %s', async (_, make) => {
    const { taken, doors, call } = heldLine()
    const answers = Array.from({ length: 12 }, () => call('hold', make()))
    await eventually(() => expect(taken.length).toBeGreaterThan(3))
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    const first = taken.length
    expect(first).toBeLessThan(12)
    doors[0]?.open(0)
    await expect(answers[0]).resolves.toBe(0)
    await settled(taken, first + 1)
    for (let i = 1; i < 12; i++) {
      await eventually(() => expect(doors.length).toBeGreaterThan(i))
      doors[i]?.open(i)
    }
    await expect(Promise.all(answers)).resolves.toEqual(Array.from({ length: 12 }, (_, i) => i))
  })

  test('wait when as many are under way as may be, and keep their order and what they were when they were made', async () => {
    const { taken, doors, call } = heldLine()
    const value = { n: 0 }
    const answers = Array.from({ length: WINDOW_CALLS + 3 }, (_, n) => {
      value.n = n
      return call('hold', value)
    })
    await settled(taken, WINDOW_CALLS)
    for (const door of doors.slice(0, 5)) door.open('done')
    await settled(taken, WINDOW_CALLS + 3)
    expect(taken.slice(-3)).toEqual([{ n: WINDOW_CALLS }, { n: WINDOW_CALLS + 1 }, { n: WINDOW_CALLS + 2 }])
    for (const door of doors.slice(5)) door.open('done')
    await Promise.all(answers)
  })

  test('that wait are refused when they cannot cross, and fail by their deadline or signal without having left', async () => {
    const { proxy, taken, doors, call } = heldLine()
    const filling = Array.from({ length: 8 }, () => call('hold', new Uint8Array(MEGABYTE)))
    await settled(taken, 8)
    await expect(call('hold', { at: [Symbol('no')] })).rejects.toMatchObject({
      code: 'PAYLOAD_NOT_CLONEABLE',
      details: { path: 'arguments[0].at[0]' },
    })
    await expect(proxy.$with({ timeout: 20 })['hold']?.('late')).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
      message: expect.stringMatching(/'hold' on service 'store' of 'keeper' found no room within 20 ms.*Await calls/) as string,
    })
    const controller = new AbortController()
    const given = proxy.$with({ signal: controller.signal })['hold']?.('given up')
    controller.abort()
    await expect(given).rejects.toMatchObject({ code: 'CALL_CANCELLED' })
    const last = call('hold', 'last')
    for (const door of doors) door.open('done')
    await settled(taken, 9)
    expect(taken[8]).toBe('last')
    doors[8]?.open('done')
    await Promise.all([last, ...filling])
  })

  test('still count for a while when their caller gives them up at once', async () => {
    const { proxy, taken } = heldLine()
    for (let i = 0; i < 40; i++)
      proxy
        .$with({ timeout: 1 })
        ['hold']?.(new Uint8Array(MEGABYTE))
        .catch(() => {})
    await eventually(() => expect(taken.length).toBeGreaterThan(3))
    const refused = await Promise.all(
      Array.from({ length: 20 }, () =>
        proxy
          .$with({ timeout: 1 })
          ['hold']?.(new Uint8Array(MEGABYTE))
          .catch(({ code }: { code: string }) => code),
      ),
    )
    expect(new Set(refused)).toEqual(new Set(['CALL_TIMEOUT']))
    expect(taken.length).toBeLessThan(16)
  })

  test('that wait with what they move are moved in their turn', async () => {
    const { taken, doors, call } = heldLine()
    const { transfer } = await import('plugbay')
    const filling = Array.from({ length: 8 }, () => call('hold', new Uint8Array(MEGABYTE)))
    await settled(taken, 8)
    const moved = new Uint8Array([1, 2, 3])
    const waiting = call('hold', transfer(moved, [moved.buffer]))
    const called = call('call', (value: number) => value + 1, 41)
    await eventually(() => expect(moved.length).toBe(0))
    expect(taken).toHaveLength(8)
    for (const door of doors) door.open('done')
    await settled(taken, 9)
    expect(taken[8]).toEqual(new Uint8Array([1, 2, 3]))
    await expect(called).resolves.toBe(42)
    doors[8]?.open('done')
    await Promise.all([waiting, ...filling])
  })

  test('that wait fail when the provider goes', async () => {
    const { client, taken, call } = heldLine()
    const calls = Array.from({ length: 20 }, () => call('hold', new Uint8Array(MEGABYTE)))
    await settled(taken, 8)
    const { PlugbayError } = await import('plugbay')
    client.gone(new PlugbayError('SERVICE_GONE', 'It is gone.'), true)
    for (const each of calls) await expect(each).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })

  test('of one that is no larger than a call may be leave, however much it is of the window', async () => {
    const { taken, doors, call } = heldLine()
    const large = call('hold', 'x'.repeat(WINDOW_BYTES * 2))
    await settled(taken, 1)
    doors[0]?.open('done')
    await large
  })
})

describe('callbacks over a line', () => {
  test('wait at the end that makes them when as many bytes are under way as may be', async () => {
    const { call } = heldLine()
    const doors: ReturnType<typeof gate<number>>[] = []
    const back = (): Promise<number> => {
      const door = gate<number>()
      doors.push(door)
      return door.promise
    }
    const flooded = call('flood', back, 20, MEGABYTE)
    await settled(doors, 8)
    doors[0]?.open(0)
    await settled(doors, 9)
    for (let i = 1; i < 20; i++) {
      await eventually(() => expect(doors.length).toBeGreaterThan(i))
      doors[i]?.open(i)
    }
    await expect(flooded).resolves.toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  test('are refused when their arguments are too large', async () => {
    const { call } = heldLine()
    await expect(call('flood', () => 1, 1, CALL_LIMIT + 1)).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringContaining("The arguments of 'call' of the caller of service 'store' are too large") as string,
    })
    await expect(call('flood', () => 1, 1, 1)).resolves.toEqual([1])
  })

  test('that hand over callbacks themselves are weighed for their ports', async () => {
    const { taken, doors, call } = heldLine()
    const calls = Array.from({ length: 700 }, () => call('hold', () => {}))
    await eventually(() => expect(taken.length).toBeGreaterThan(400))
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    expect(taken.length).toBeLessThan(600)
    for (let i = 0; i < 700; i++) {
      await eventually(() => expect(doors.length).toBeGreaterThan(i))
      doors[i]?.open('done')
    }
    await Promise.all(calls)
  })
})

describe('one call', () => {
  const refusal = (what: string): object => ({
    code: 'PAYLOAD_TOO_LARGE',
    message: expect.stringMatching(
      new RegExp(`${what} too large: some \\d+ bytes or more, and the limit of a call is ${CALL_LIMIT}`),
    ) as string,
    details: { size: expect.any(Number) as number, limit: CALL_LIMIT },
  })

  test.each<[string, unknown]>([
    ['a text', 'x'.repeat(CALL_LIMIT + 1)],
    ['a buffer', new Uint8Array(CALL_LIMIT + 1)],
    ['a long array without elements', new Array(CALL_LIMIT)],
  ])('is refused when its arguments are too large: %s', async (_, argument) => {
    const { taken, call } = heldLine()
    await expect(call('hold', argument)).rejects.toMatchObject(refusal("The arguments of 'hold' of service 'store' of 'keeper' are"))
    await expect(call('repeat', 1)).resolves.toBe('x')
    expect(taken).toEqual([])
  })

  test('is refused when its result is too large, and the next one is answered', async () => {
    const { call } = heldLine()
    await expect(call('repeat', CALL_LIMIT + 1)).rejects.toMatchObject({
      ...refusal("The result of 'repeat' of 'keeper' for consumer 'flooder' of service 'store' is"),
      plugin: 'keeper',
    })
    await expect(call('repeat', 3)).resolves.toBe('xxx')
  })

  test('may move what is larger', async () => {
    const { taken, doors, call } = heldLine()
    const { transfer } = await import('plugbay')
    const buffer = new ArrayBuffer(CALL_LIMIT + 1)
    const moved = call('hold', transfer(buffer, [buffer]))
    await eventually(() => expect((taken[0] as ArrayBuffer).byteLength).toBe(CALL_LIMIT + 1))
    doors[0]?.open('done')
    await moved
  })
})
