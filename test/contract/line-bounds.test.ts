/**
 * The receiving end of a line believes nothing of what its sender weighed and counted: what no honest end sends ends that line, stream or
 * reference alone.
 */
import { once } from 'node:events'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Peer } from '#src/sandbox/lines/peers.js'
import { exposeByReference, wrapReference } from '#src/sandbox/lines/references.js'
import { methodsOf, ProviderLine, ServiceClient } from '#src/sandbox/lines/service-line.js'
import { receiveStream, sendStream } from '#src/sandbox/lines/streams.js'
import { CALL_LIMIT, WINDOW_CALLS } from '#src/sandbox/values/call-window.js'
import { LEAF_BYTES } from '#src/sandbox/values/codec.js'
import { eventually } from '../support/eventually.js'

const ports = (): { here: MessagePort; there: MessagePort } => {
  const { port1: here, port2: there } = new MessageChannel()
  onTestFinished(() => {
    here.close()
    there.close()
  })
  return { here, there }
}

const list = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

const REQUEST = 1
const REPLY = 2

/** More than a call may weigh, by far. */
const ENORMOUS: Record<string, () => unknown> = {
  'a text': () => 'x'.repeat(2 * CALL_LIMIT),
  objects: () => list(CALL_LIMIT / 256, (i) => ({ i })),
  'texts in an object': () => ({ all: list(40, (i) => `${i}`.repeat(CALL_LIMIT / 32)) }),
  'a map': () => new Map(list(CALL_LIMIT / 128, (i) => [i, i])),
  names: () => Object.fromEntries(list(CALL_LIMIT / 512, (i) => [`k${i}`, i])),
}

/** A service whose `hold` never answers, and the bare port of a consumer. */
const bareConsumer = () => {
  const { here, there } = ports()
  const service = { hold: () => new Promise(() => {}), give: (value: unknown) => typeof value }
  let calls = 0
  let ended = false
  const provided = { name: 'store', plugin: 'keeper', service, methods: new Set(methodsOf(service)), before: () => void calls++ }
  new ProviderLine(here, provided, 'liar', methodsOf(service), () => (ended = true))
  return { there, calls: () => calls, ended: () => ended }
}

describe('a provider', () => {
  test.each(Object.entries(ENORMOUS))('lets go of a line over which comes more than a call may weigh: %s', async (_, make) => {
    const { there, calls, ended } = bareConsumer()
    const closed = once(there, 'close')
    there.postMessage([REQUEST, 1, 'give', '[0]', 1, 'small'])
    await once(there, 'message')
    const value = make()
    there.postMessage(typeof value === 'string' ? [REQUEST, 2, 'give', '[0]', 1, value] : [REQUEST, 2, 'give', '0', [value]])
    await closed
    expect([calls(), ended()]).toEqual([1, true])
  })

  test('lets go of one over which comes a batch of too many parts', async () => {
    const { there, calls, ended } = bareConsumer()
    const numbers = new Array<number>((CALL_LIMIT + CALL_LIMIT / 8) / LEAF_BYTES).fill(1)
    const head: unknown[] = [REQUEST, 1, 'give', '[0]', numbers.length]
    there.postMessage(head.concat(numbers))
    await eventually(() => expect(ended()).toBe(true))
    expect(calls()).toBe(0)
  })

  test('takes a buffer of any size that is moved', async () => {
    const { there, ended } = bareConsumer()
    const buffer = new ArrayBuffer(2 * CALL_LIMIT)
    there.postMessage([REQUEST, 1, 'give', '0', [buffer]], [buffer])
    const [answer] = (await once(there, 'message')) as [unknown[]]
    expect(answer).toContain('object')
    expect(ended()).toBe(false)
  })

  test('lets go of a line with more calls under way than may be, and of none with as many', async () => {
    const { there, ended } = bareConsumer()
    const hold = (from: number, to: number): void => {
      for (let id = from; id <= to; id++) there.postMessage([REQUEST, id, 'hold', '0', []])
    }
    hold(1, WINDOW_CALLS)
    there.postMessage([REQUEST, WINDOW_CALLS + 1, 'nothing of that name', '0', []])
    await eventually(() => expect(ended()).toBe(true))

    const other = bareConsumer()
    for (let id = 1; id < WINDOW_CALLS; id++) other.there.postMessage([REQUEST, id, 'hold', '0', []])
    other.there.postMessage([REQUEST, WINDOW_CALLS, 'give', '0', [1]])
    expect(((await once(other.there, 'message')) as [unknown[]])[0]).toContain('number')
    expect(other.ended()).toBe(false)
  })
})

test.each(Object.entries(ENORMOUS))(
  'a consumer is told PROTOCOL by an answer that is more than a result may weigh: %s',
  async (_, make) => {
    const { here, there } = ports()
    const client = new ServiceClient({ name: 'store', provider: 'liar', methods: ['get'] }, here)
    there.once('message', () => there.postMessage([REPLY, 1, '', '0', make()]))
    await expect(client.proxy({ timeout: 0 })['get']?.()).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringMatching(/^Service 'store' of 'liar' sent a message that breaks the protocol: it weighs more than/) as string,
    })
  },
)

describe('a stream', () => {
  test('ends for who asks for more items ahead than its own end does', async () => {
    const { here, there } = ports()
    let returned = false
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<unknown>>(() => {}),
        return: () => {
          returned = true
          return Promise.resolve({ done: true as const, value: undefined })
        },
      }),
    }
    sendStream(source, here, 'maker')
    for (let id = 1; id <= 17; id++) there.postMessage([REQUEST, id, 'next', '0', undefined])
    await once(there, 'close')
    expect(returned).toBe(true)
  })

  test('ends for its reader with PROTOCOL at an item that is more than one may weigh', async () => {
    const { here, there } = ports()
    const stream = receiveStream(here, 'the liar', undefined)
    there.once('message', () => there.postMessage([REPLY, 1, '', '0', { done: false, value: 'x'.repeat(2 * CALL_LIMIT) }]))
    await expect(stream.next()).rejects.toMatchObject({ code: 'PROTOCOL' })
    await expect(stream.next()).resolves.toMatchObject({ done: true })
  })
})

describe('a callback or an object by reference', () => {
  const call = (method: string, ...args: unknown[]) => ({
    id: '1',
    type: 'APPLY',
    path: [method],
    argumentList: args.map((value) => ({ type: 'RAW', value })),
  })

  const exposed = async () => {
    const { here, there } = ports()
    let calls = 0
    const object = {
      hold: () => new Promise(() => void calls++),
      work: () => {
        calls++
        for (const end = performance.now() + 1; performance.now() < end; );
      },
    }
    await exposeByReference(object, here, 'owner')
    return { there, calls: () => calls, closed: once(there, 'close') }
  }

  test.each(Object.entries(ENORMOUS))('is let go of at a call that is more than one may weigh: %s', async (_, make) => {
    const { there, calls, closed } = await exposed()
    there.postMessage(call('hold', make()))
    await closed
    expect(calls()).toBe(0)
  })

  test('is let go of when more of its calls are under way than may be', async () => {
    const { there, calls, closed } = await exposed()
    for (let i = 0; i <= WINDOW_CALLS; i++) there.postMessage(call('hold'))
    await closed
    expect(calls()).toBe(WINDOW_CALLS)
  })

  test('is called for a while, then others have their turn', async () => {
    const { there, calls } = await exposed()
    const inOneTurn: number[] = []
    let before = 0
    const count = (): void => {
      inOneTurn.push(calls() - before)
      before = calls()
      if (before < 250) setImmediate(count)
    }
    for (let i = 0; i < 250; i++) there.postMessage(call('work'))
    count()
    await eventually(() => expect(calls()).toBe(250))
    expect(Math.max(...inOneTurn)).toBeLessThan(100)
  })

  test.each(Object.entries(ENORMOUS))('is gone for its caller at an answer that is more than one may weigh: %s', async (_, make) => {
    const { here, there } = ports()
    const object = (await wrapReference(here, 'the liar', new Peer().references)) as { get(): Promise<unknown> }
    there.once('message', ({ id }: { id: string }) => there.postMessage({ id, type: 'RAW', value: { value: make() } }))
    await expect(object.get()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })

  test('is gone for its caller at an answer to what it never called', async () => {
    const { here, there } = ports()
    const object = (await wrapReference(here, 'the liar', new Peer().references)) as { get(): Promise<unknown> }
    there.once('message', ({ id }: { id: string }) => {
      there.postMessage({ id, type: 'RAW', value: { value: 'first' } })
      // One of them may pass for an answer to the next call.
      for (let i = 0; i < 2; i++) there.postMessage({ id: 'none', type: 'RAW', value: {} })
    })
    await expect(object.get()).resolves.toBe('first')
    await expect(object.get()).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })
})
