/** What comes over the port of a reference, a callback or a signal is parsed where it arrives: its sender may say anything. */
import { once } from 'node:events'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { byReference } from '#src/passing.js'
import { type Box, Holdings, unbox } from '#src/sandbox/lines/boxing.js'
import { Peer } from '#src/sandbox/lines/peers.js'
import { exposeByReference, wrapReference } from '#src/sandbox/lines/references.js'
import { CallWindow } from '#src/sandbox/values/call-window.js'
import { eventually } from '../support/eventually.js'

class Counter {
  count = 0
  add(by: number): number {
    return (this.count += by)
  }
  leak(): unknown {
    return () => 1
  }
  another(): unknown {
    return byReference(new Counter())
  }
  async later(): Promise<unknown> {
    await new Promise((resolve) => setImmediate(resolve))
    return { f: () => 1 }
  }
}

const open = (): { here: MessagePort; there: MessagePort } => {
  const { port1: here, port2: there } = new MessageChannel()
  onTestFinished(() => here.close())
  return { here, there }
}

const exposed = async () => {
  const { here, there } = open()
  const counter = new Counter()
  await exposeByReference(counter, here, 'owner')
  const ended = once(there, 'close')
  const asked = async (message: unknown): Promise<unknown> => {
    const answer = once(there, 'message')
    there.postMessage(message)
    return (await answer)[0]
  }
  return { counter, there, ended, asked }
}

const raw = (value: unknown) => ({ type: 'RAW', value })
const call = (method: string, ...args: unknown[]) => ({ id: '1', type: 'APPLY', path: [method], argumentList: args.map(raw) })

describe('who calls an object by reference', () => {
  test('has its methods', async () => {
    const { asked } = await exposed()
    expect(await asked(call('add', 2))).toEqual({ id: '1', ...raw({ value: 2 }) })
  })

  for (const method of [
    'constructor',
    '__proto__',
    'toString',
    'valueOf',
    '__defineGetter__',
    '__lookupGetter__',
    'count',
    'none',
    'then',
  ]) {
    test(`has nothing else of it: ${method}`, async () => {
      const { asked } = await exposed()
      expect(await asked(call(method, 'x'))).toMatchObject({ value: { error: { code: 'SERVICE_METHOD_UNKNOWN' } } })
    })
  }

  test('is told that it is the result which cannot cross', async () => {
    const { asked } = await exposed()
    expect(await asked(call('leak'))).toMatchObject({
      value: {
        error: {
          code: 'PAYLOAD_NOT_CLONEABLE',
          message: expect.stringMatching(/^The result of 'leak' of 'owner', passed by reference, cannot/),
        },
      },
    })
  })

  test('gets data alone from it: what is marked within an answer is refused', async () => {
    const { asked } = await exposed()
    expect(await asked(call('another'))).toMatchObject({
      value: {
        error: {
          code: 'PAYLOAD_NOT_CLONEABLE',
          message: expect.stringContaining('byReference() marks an argument or a result of a method of a service'),
        },
      },
    })
  })

  test('is told which result it is, with two calls under way', async () => {
    const { there } = await exposed()
    const answers = new Map<string, unknown>()
    there.on('message', (answer: { id: string }) => answers.set(answer.id, answer))
    there.postMessage({ ...call('later'), id: 'later' })
    there.postMessage({ ...call('leak'), id: 'leak' })
    await eventually(() => expect(answers.size).toBe(2))
    for (const method of ['later', 'leak']) {
      const message = expect.stringMatching(new RegExp(`^The result of '${method}' of 'owner', .*, at result`)) as string
      expect(answers.get(method)).toMatchObject({ value: { error: { code: 'PAYLOAD_NOT_CLONEABLE', message } } })
    }
  })

  const FORGED: Record<string, unknown> = {
    'a path to what its methods have': { ...call('add'), path: ['add', 'constructor'] },
    'an empty path': { ...call('add'), path: [] },
    'a path that is none': { ...call('add'), path: 5 },
    'a construction': { ...call('add'), type: 'CONSTRUCT', path: ['add', 'constructor'] },
    'a new value': { id: '1', type: 'SET', path: ['add', '__proto__', '__proto__', 'polluted'], value: raw('yes') },
    'a look at a value': { id: '1', type: 'GET', path: ['count'] },
    'a new port': { id: '1', type: 'ENDPOINT' },
    'arguments that are none': { ...call('add'), argumentList: 5 },
    'an argument that is none': { ...call('add'), argumentList: [null] },
    'an argument that comlink would open': { ...call('add'), argumentList: [{ type: 'HANDLER', name: 'throw', value: null }] },
    'a call without a number': { ...call('add', 1), id: undefined },
    nothing: null,
    'a text': 'hello',
  }

  for (const [name, message] of Object.entries(FORGED)) {
    test(`ends its reference, and no more, with ${name}`, async () => {
      const { there, ended, counter } = await exposed()
      there.postMessage(message)
      await ended
      expect(counter.count).toBe(0)
      expect(({} as { polluted?: string }).polluted).toBeUndefined()
    })
  }
})

describe('who answers a call by reference', () => {
  const answered = async (answer: (id: string) => unknown): Promise<unknown> => {
    const { here, there } = open()
    const object = (await wrapReference(here, "service 'far'", new CallWindow())) as { get(): Promise<unknown> }
    there.on('message', ({ id }: { id: string }) => there.postMessage(answer(id)))
    return object.get()
  }

  test('gives data alone', async () => {
    await expect(answered((id) => ({ id, ...raw({ value: 7 }) }))).resolves.toBe(7)
    await expect(answered((id) => ({ id, type: 'HANDLER', name: 'proxy', value: null }))).rejects.toMatchObject({ code: 'SERVICE_GONE' })
    await expect(answered(() => null)).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  })

  test('fails with an error, whatever it made of it', async () => {
    for (const error of [
      {},
      { name: { toString: 1 }, message: { toString: 1 }, stack: 1, cause: 1, details: 1, branded: true, code: 'INTERNAL' },
    ])
      await expect(answered((id) => ({ id, ...raw({ error }) }))).rejects.toBeInstanceOf(Error)
    for (const outcome of [null, 5, { error: null }, { error: 'text' }])
      await expect(answered((id) => ({ id, ...raw(outcome) }))).resolves.toBeUndefined()
  })
})

test('a signal aborts with an error, whatever came', async () => {
  for (const reason of [null, 1, 'text', {}, { name: { toString: 1 }, message: { toString: 1 } }]) {
    const { here, there } = open()
    const holdings = new Holdings(new Peer(), 'the far end')
    const signal = (await unbox(['signal', here] as Box, holdings, 'the far end')) as AbortSignal
    const aborted = once(signal, 'abort')
    there.postMessage(reason)
    await aborted
    expect(signal.reason).toBeInstanceOf(Error)
    const before = (await unbox(['aborted', reason], holdings, 'the far end')) as AbortSignal
    expect([before.aborted, before.reason]).toEqual([true, expect.any(Error)])
  }
})
